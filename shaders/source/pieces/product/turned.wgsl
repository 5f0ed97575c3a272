# // Declares the array `name`: 8 × 8 numbers transposed, of which `at(row, half)` are four.
# for (const part of upTo(2)) {
#   for (const half of upTo(2)) {
let t${part}_${half} = transpose(mat4x4f(${[0, 1, 2, 3].map((r) => at(4 * part + r, half)).join(", ")}));
#   }
# }
var ${name} = array<vec4f, 16>(
# for (const half of upTo(2)) {
  ${each(4, (r) => `t0_${half}[${r}], t1_${half}[${r}],`)}
# }
);
