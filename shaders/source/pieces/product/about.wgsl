# // What a product's form is for, and how its work is shared out. `left` is its first operand, `operandNames` are both.
# if (form === "registers") {
// A thread computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
// ${dispatcher}.
# } else if (form === "subgroup") {
// For adapters whose subgroups have ${lanes} lanes (software adapters): a workgroup is one subgroup, which shares its loads of
// ${left}. A thread computes 32 × COLS numbers in registers, a workgroup 32 × COLS·LANES. Dispatched by
// ${dispatcher}.
# } else {
// For GPUs: a workgroup computes a tile of 8·THREADS × 8·THREADS numbers, and its threads bring the numbers of ${operandNames} that it
// takes to workgroup memory together. A thread computes 8 × 8 numbers in registers, four 4 × 4 blocks that lie 4·THREADS
// apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// ${dispatcher}.
# }
