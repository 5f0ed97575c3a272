# // The block of a subgroup's thread as an array of numbers, row by row.
var block = array<f32, ${32 * columns}>(
# for (const r of upTo(32)) {
  ${each(columns, (j) => `c${r}_${j >> 2}.${"xyzw"[j % 4]},`)}
# }
);
