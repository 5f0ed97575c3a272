# // The 8 × 8 numbers of a thread, row by row, two vec4f each.
# for (const part of upTo(2)) {
${each(4, (r) => each(2, (h) => `c${4 * part + r}_${h},`))}
# }
