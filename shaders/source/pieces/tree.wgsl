# // Joins the numbers of all threads in `shared`, by sum or a function of that name; lane 0 has the result. `half` is half
# // the number of threads.
for (var half = ${half}; half > 0u; half /= 2u) {
  if (${lane} < half) {
# if (join === "sum") {
    ${shared}[thread] += ${shared}[thread + half];
# } else {
    ${shared}[thread] = ${join}(${shared}[thread], ${shared}[thread + half]);
# }
  }
  workgroupBarrier();
}
