# // Declares the array `name`: the 8 × 8 numbers of a thread transposed.
# for (const part of upTo(2)) {
let t${part}_0 = transpose(mat4x4f(${[0, 1, 2, 3].map((r) => `c${4 * part + r}_0`).join(", ")}));
let t${part}_1 = transpose(mat4x4f(${[0, 1, 2, 3].map((r) => `c${4 * part + r}_1`).join(", ")}));
# }
var ${name} = array<vec4f, 16>(
# for (const half of upTo(2)) {
  ${each(4, (r) => `t0_${half}[${r}], t1_${half}[${r}],`)}
# }
);
