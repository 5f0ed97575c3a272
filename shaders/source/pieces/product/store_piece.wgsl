# // In a loop over the pieces of a subgroup's block, four numbers each: writes number `part`, of the block or, where
# // `turned`, of its transpose; `left` is a condition to leave it out. The rest is as of product/store, but that `result()`
# // takes the four numbers as `sum`, and what is there as `old` where `reads` or the piece reaches beyond the columns.
let at = select(vec2u(part * 4u / COLS, part * 4u % COLS), vec2u(part / 8u, part % 8u * 4u), ${turned});
let row = select(i, j, ${turned}) + at.x;
let column = select(j, i, ${turned}) + at.y;
if (row >= ${rows} || column >= ${cols}${left}) {
  continue;
}
let source = select(at.x * COLS + at.y, at.y * COLS + at.x, ${turned});
let step = select(1u, COLS, ${turned});
let place = (*problem).${target}Offset + row * (*problem).${target}Stride + column / 4u;
var old = vec4f();
if (${reads}column + 4u > ${cols}) {
  old = ${target}[place];
}
let sum = vec4f(block[source], block[source + step], block[source + 2u * step], block[source + 3u * step]);
# result();
${target}[place] = select(old, result, vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(${cols}));
