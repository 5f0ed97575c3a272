# // A function that writes a thread's numbers, of the forms that keep 4 · high rows of 4 · wide numbers:
# //   name         its name
# //   transposed   whether it gets their transpose, and (row, column) of that
# //   sizes        parameters of its own, if rows and cols come that way
# //   keeps        whether it returns the numbers as `result` left them in `block`
# //   target, rows, cols   buffer, which has an offset and a stride in the problem, and size of what is written
# //   declared()   text that declares what `result` takes
# //   result()     text that declares result, the four numbers of row i from column j on, from block[part]; they go to target[at]
# const [blocks, quads, down, across] = transposed ? [wide, high, spanJ, spanI] : [high, wide, spanI, spanJ];
# const numbers = `array<vec4f, ${4 * blocks * quads}>`;
# const down4 = blocks > 1 ? ` + part / ${4 * quads}u * ${4 * down}u` : "";
# const rowOf = `${quads > 1 ? `part / ${quads}u` : "part"}${blocks > 1 ? " % 4u" : ""}`;
# const columnOf = quads > 1 ? ` + part % ${quads}u * ${4 * across}u` : "";
// Writes ${4 * blocks} rows of ${4 * quads} numbers${transposed ? " of the transpose" : ""}, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn ${name}(index: u32, row: u32, column: u32, ${sizes}values: ${numbers})${keeps ? ` -> ${numbers}` : ""} {
  var block = values;
  let problem = &problems[index];
# declared();
# if (keeps || form === "registers") {
  // Their number, but one that the compiler does not know.
  let end = select(0u, ${4 * blocks * quads}u, row < ${rows});
# } else {
  let end = ${4 * blocks * quads}u;
# }
  for (var part = 0u; part < end; part++) {
    let i = row${down4} + ${rowOf};
    let j = column${columnOf};
    if (i >= ${rows} || j >= ${cols}) {
      continue;
    }
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
