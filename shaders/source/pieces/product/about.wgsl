# // What a product's form is for, and how its work is shared out. `left` is its first operand, `operandNames` are both.
# if (form === "registers") {
// A thread computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
// ${dispatcher}.
# } else if (form === "subgroup") {
// For adapters whose subgroups have ${lanes} lanes (software adapters): a workgroup is one subgroup, which shares its loads of
// ${left}. A thread computes 32 × COLS numbers in registers, a workgroup 32 × COLS·LANES. Dispatched by
// ${dispatcher}.
# } else if (form === "workgroup") {
// For GPUs: a workgroup computes a tile of ${4 * high * spanI} × ${4 * wide * spanJ} numbers, and its threads bring the numbers of ${operandNames} that
// it takes to workgroup memory together. A thread computes ${4 * high} × ${4 * wide} numbers in registers, blocks of 4 × 4 that lie a whole
// grid of threads apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// ${dispatcher}.
# } else {
// For GPUs, where results are small and sums are long: a workgroup computes ${4 * spanI} × ${4 * spanJ} numbers, each thread 4 × 4 of them over
// each ${slices}th row of ${operandNames}. What the threads of one place have is then added up, in a fixed order. Dispatched by
// ${dispatcher}.
# }
