# // A function that writes a thread's numbers, for the forms registers and workgroup:
# //   name         its name
# //   sizes        parameters of its own, if rows and cols come that way
# //   parts        their number for the form workgroup, 16: said so that compilers see it, and unroll, or so that they do not
# //   keeps        whether it returns the numbers as `result` left them in `block`
# //   target, rows, cols   buffer, which has an offset and a stride in the problem, and size of what is written
# //   declared()   text that declares what `result` takes
# //   result()     text that declares result, the four numbers of row i from column j on, from block[part]; they go to target[at]
# if (form === "registers") {
// Writes an 8 × 8 block at (row, column), a row in two halves. A loop, not unrolled text: stores are a small part of the
// work, and sixteen copies of them would take a software adapter seconds to compile.
# } else {
// Writes the thread's part of a tile, the first of its four blocks at (row, column).
# }
fn ${name}(index: u32, row: u32, column: u32, ${sizes}values: array<vec4f, 16>)${keeps ? " -> array<vec4f, 16>" : ""} {
  var block = values;
  let problem = &problems[index];
# declared();
# if (form === "registers") {
  let end = select(16u, (${rows} - row) * 2u, ${rows} - row < 8u);
  for (var part = 0u; part < end; part++) {
    let i = row + part / 2u;
    let j = column + (part & 1u) * 4u;
    if (j >= ${cols}) {
      continue;
    }
# } else {
  let end = ${parts};
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 4u * THREADS + part / 2u % 4u;
    let j = column + part % 2u * 4u * THREADS;
    if (i >= ${rows} || j >= ${cols}) {
      continue;
    }
# }
    let at = (*problem).${target}Offset + i * (*problem).${target}Stride + j / 4u;
# result();
    if (j + 4u > ${cols}) {
      result = select(${target}[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(${cols}));
    }
    ${target}[at] = result;
  }
# if (keeps) {
  return block;
# }
}
