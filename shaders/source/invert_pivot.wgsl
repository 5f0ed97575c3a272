// First of three kernels of a block sweep over block K, of ${block} rows or fewer: N ← D^-½ L⁻¹, where E_KK = L D L', by an
// unblocked symmetric sweep, a row in each thread's registers, and, in the other workgroups, old ← E_K: (width × size),
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
# if (lanes > 1) {
//
// For adapters whose subgroups have ${lanes} lanes (software adapters), which share their loads of the pivot's row.
# }
# if (lanes > 1) {
enable subgroups; diagnostic(off, subgroup_uniformity);
# }

# bindings("linalg/invert-kernels", "pivotLayout");

const BLOCK = ${block}u;
const QUARTERS = BLOCK / 4u;
const FLOOR = 2.384185791e-7;
const NOT_POSITIVE = 1u;

// This pivot's row and the next one's, in turns. In the place of the pivot itself it holds pivot − 1, since
// a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all columns, and as accurate, as the pivot is at most 1.
var<workgroup> pivotRow: array<vec4f, 2 * QUARTERS>;
var<workgroup> pivots: array<f32, 2>;

fn entry(problem: SweepProblem, i: u32, j: u32) -> f32 {
  let corner = problem.workOffset + problem.block * (problem.size + 1u);
  return work[corner + max(i, j) * problem.size + min(i, j)];
}

// Takes pivot k out of its row, which starts at `row`; true where it had to be clamped.
fn setPivot(row: u32, k: u32) -> bool {
  let pivot = pivotRow[row + k / 4u][k % 4u];
  let clamped = !(pivot > FLOOR);
  let used = select(pivot, FLOOR, clamped);
  pivots[k & 1u] = used;
  pivotRow[row + k / 4u][k % 4u] = used - 1.0;
  return clamped;
}

fn sweep(problem: SweepProblem, thread: u32, lane: u32) {
  // At most BLOCK, but a number the compiler does not know: unrolled, these loops take a software adapter seconds to compile.
  let rows = problem.width;
  let quarters = (rows + 3u) / 4u;
  var row: array<vec4f, QUARTERS>;
  for (var q = 0u; q < quarters; q++) {
    row[q] = vec4f(
      entry(problem, thread, 4u * q), entry(problem, thread, 4u * q + 1u),
      entry(problem, thread, 4u * q + 2u), entry(problem, thread, 4u * q + 3u),
    );
  }
# for (const q of upTo(block / 4)) {
  var r${q} = row[${q}];
# }
  var clamped = false;
  if (thread == 0u) {
    for (var q = 0u; q < quarters; q++) {
      pivotRow[q] = row[q];
    }
    clamped = setPivot(0u, 0u);
  }
  workgroupBarrier();
  for (var k = 0u; k < rows; k++) {
    let current = (k & 1u) * QUARTERS;
    let following = QUARTERS - current;
    let pivot = pivots[k & 1u];
    let value = pivotRow[current + thread / 4u][thread % 4u];
    let inverse = select(select(0.0, 1.0, thread == k), -value, thread < k);
    panel[problem.pivotOffset + thread * BLOCK + k] = inverse * inverseSqrt(pivot);
    let below = thread > k && thread < rows;
    if (${lanes > 1 ? "subgroupAny(below)" : "below"}) {
      let factor = select(0.0, value / pivot, below);
# for (const t of upTo(lanes > 1 ? block / 4 / lanes : 0)) {
      let p${t} = pivotRow[current + lane + ${t * lanes}u];
# }
# for (const q of upTo(block / 4)) {
#   const shared = `subgroupBroadcast(p${Math.floor(q / lanes)}, ${q % lanes}u)`;
      r${q} = fma(vec4f(-factor), ${lanes > 1 ? shared : `pivotRow[current + ${q}u]`}, r${q});
# }
    }
    if (below && thread == k + 1u) {
# for (const q of upTo(block / 4)) {
      row[${q}] = r${q};
# }
      for (var q = 0u; q < quarters; q++) {
        pivotRow[following + q] = row[q];
      }
      clamped = setPivot(following, thread);
    }
    workgroupBarrier();
  }
  if (thread < rows) {
    for (var j = 0u; j < rows; j++) {
      panel[problem.oldOffset + j * problem.size + problem.block + thread] = select(0.0, 1.0, j == thread);
    }
  }
  if (problem.size == rows) {
    storageBarrier();
    for (var j = 0u; j <= thread && thread < rows; j++) {
      var sum = 0.0;
      for (var k = thread; k < rows; k++) {
        sum = fma(panel[problem.pivotOffset + thread * BLOCK + k], panel[problem.pivotOffset + j * BLOCK + k], sum);
      }
      work[problem.workOffset + thread * problem.size + j] = -sum;
    }
  }
  if (clamped) {
    atomicOr(&status[problem.index], NOT_POSITIVE);
  }
}

@compute @workgroup_size(BLOCK)
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
    sweep(problem, thread, ${lanes > 1 ? "lane" : "0u"});
    return;
  }
  let i = (part - 1u) * BLOCK + thread;
  if (i >= problem.size || (i >= problem.block && i < problem.block + problem.width)) {
    return;
  }
  for (var q = 0u; q < problem.width; q++) {
    let row = problem.block + q;
    let value = work[problem.workOffset + max(i, row) * problem.size + min(i, row)];
    panel[problem.oldOffset + q * problem.size + i] = value;
  }
}
