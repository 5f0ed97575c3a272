# // Declares the array `name`: the numbers of a thread, row by row, four at a time.
var ${name} = array<vec4f, ${4 * high * wide}>(
# for (const r of upTo(4 * high)) {
  ${each(wide, (w) => `c${r}_${w},`)}
# }
);
