# // The function that writes target ← alpha · values + beta · target, for the forms registers and workgroup: `sizes` are
# // parameters of its own, if rows and cols come that way, and `scales()` is text that declares alpha and beta.
# if (form === "registers") {
// Writes an 8 × 8 block at (row, column), a row in two halves. A loop, not unrolled text: stores are a small part of the
// work, and sixteen copies of them would take a software adapter seconds to compile.
# } else {
// Writes the thread's part of a tile, the first of its four blocks at (row, column).
# }
fn store(index: u32, row: u32, column: u32, ${sizes}values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
# scales();
# if (form === "registers") {
  let end = select(16u, (${rows} - row) * 2u, ${rows} - row < 8u);
  for (var part = 0u; part < end; part++) {
    let j = column + (part & 1u) * 4u;
    if (j >= ${cols}) {
      continue;
    }
    let at = (*problem).${target}Offset + (row + part / 2u) * (*problem).${target}Stride + j / 4u;
# } else {
  for (var part = 0u; part < 16u; part++) {
    let i = row + part / 8u * 4u * THREADS + part / 2u % 4u;
    let j = column + part % 2u * 4u * THREADS;
    if (i >= ${rows} || j >= ${cols}) {
      continue;
    }
    let at = (*problem).${target}Offset + i * (*problem).${target}Stride + j / 4u;
# }
    var result = ${alpha} * block[part];
    if (${beta} != 0.0) {
      result += ${beta} * ${target}[at];
    }
    if (j + 4u > ${cols}) {
      result = select(${target}[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(${cols}));
    }
    ${target}[at] = result;
  }
}
