# // Sums, `height` rows of `halves` vec4f, all zero.
# for (const r of upTo(height)) {
${each(halves, (h) => `var c${r}_${h} = vec4f();`)}
# }
