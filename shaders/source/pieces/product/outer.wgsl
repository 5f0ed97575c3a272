# // Adds the outer product of 8 numbers left_<half> with 8 numbers right_<half>.
# for (const r of upTo(8)) {
${each(2, (h) => `c${r}_${h} = fma(vec4f(${left}_${r >> 2}.${"xyzw"[r % 4]}), ${right}_${h}, c${r}_${h});`)}
# }
