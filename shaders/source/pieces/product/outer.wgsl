# // Adds the outer product of the numbers left_<quad> with the numbers right_<quad>, 4 · high by 4 · wide.
# for (const r of upTo(4 * high)) {
${each(wide, (w) => `c${r}_${w} = fma(vec4f(${left}_${r >> 2}.${"xyzw"[r % 4]}), ${right}_${w}, c${r}_${w});`)}
# }
