# // Declares the array `name`: the transpose of the rows of `quads` times four numbers of which `at(row, quad)` are four. There are
# // `blocks` times four such rows.
# for (const b of upTo(blocks)) {
#   for (const q of upTo(quads)) {
let ${name}${b}_${q} = transpose(mat4x4f(${[0, 1, 2, 3].map((r) => at(4 * b + r, q)).join(", ")}));
#   }
# }
var ${name} = array<vec4f, ${4 * blocks * quads}>(
# for (const q of upTo(quads)) {
#   for (const r of upTo(4)) {
  ${each(blocks, (b) => `${name}${b}_${q}[${r}],`)}
#   }
# }
);
