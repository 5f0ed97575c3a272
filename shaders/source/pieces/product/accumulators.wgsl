# // Sums, `height` rows of `quads` vec4f, all zero.
# for (const r of upTo(height)) {
${each(quads, (q) => `var c${r}_${q} = vec4f();`)}
# }
