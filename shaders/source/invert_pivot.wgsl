// First of three kernels of a block sweep over block K, of ${block} rows or fewer: N ← D^-½ L⁻¹, where E_KK = L D L', by an
// unblocked symmetric sweep in registers, and, in the other workgroups, old ← E_K: (width × size),
// gathered from the stored lower half, with the identity in the place of E_KK. Then the product kernel makes R ← N old, and
// invert_update all else from R. A matrix of one block is done here, by its one workgroup: E ← −N'N.
//
// Sweep of pivot k, for the rows i > k, all that is needed of it: a_ik → a_ik/a_kk, a_ij → a_ij − a_ik a_kj/a_kk. Just
// before it, row k holds, for the pivots j that are swept, −(L⁻¹)_kj. A pivot of E that is not above FLOOR (its diagonal is
// 1) is clamped to it and the matrix's status gets bit 1.
//
// Not (E_KK)⁻¹ old: what remains of E would be a small difference of products as large as the condition number of E_KK,
// and its error would grow with the square. N old is as small as E's own Cholesky factor.
//
// Layout: E size × size, lower half valid, offsets in f32. panel holds N' (BLOCK × BLOCK) and old (BLOCK × size).
// Dispatched by src/linalg/invert.ts: 1 + ⌈size / BLOCK⌉ workgroups a matrix, many matrices at once.
# if (grid) {
//
// For GPUs: QUARTERS × QUARTERS threads with 4 × 4 numbers each.
# } else if (lanes > 1) {
//
// A thread keeps a row. For adapters whose subgroups have ${lanes} lanes (software adapters), which share their loads of the pivot's row.
# } else {
//
// A thread keeps a row.
# }
# if (lanes > 1) {
enable subgroups; diagnostic(off, subgroup_uniformity);
# }

# bindings("linalg/invert-kernels", "pivotLayout");

const BLOCK = ${block}u;
const QUARTERS = BLOCK / 4u;
const FLOOR = 2.384185791e-7;
const NOT_POSITIVE = 1u;

fn entry(problem: SweepProblem, i: u32, j: u32) -> f32 {
  let corner = problem.workOffset + problem.block * (problem.size + 1u);
  return work[corner + max(i, j) * problem.size + min(i, j)];
}

# include(grid ? "pivot/grid" : "pivot/rows");

// Threads of a workgroup.
const THREADS = ${grid ? "QUARTERS * QUARTERS" : "BLOCK"};

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
# if (lanes > 1) {
  @builtin(subgroup_invocation_id) lane: u32,
# }
) {
  # include("find_problem");
  let problem = problems[index];
  let part = number - problem.first;
  if (part == 0u) {
    sweep(problem, thread${grid ? "" : lanes > 1 ? ", lane" : ", 0u"});
    return;
  }
  let i = (part - 1u) * BLOCK + thread % BLOCK;
  if (i >= problem.size || (i >= problem.block && i < problem.block + problem.width)) {
    return;
  }
  for (var q = thread / BLOCK; q < problem.width; q += THREADS / BLOCK) {
    let row = problem.block + q;
    let value = work[problem.workOffset + max(i, row) * problem.size + min(i, row)];
    panel[problem.oldOffset + q * problem.size + i] = value;
  }
}
