// First of three kernels of a block sweep over block K, of the rows the file's name says or fewer: N ← D^-½ L⁻¹, where
// E_KK = L D L', by an unblocked symmetric sweep, a row in each thread's registers, and, in the other workgroups,
// old ← E_K: (width × size), gathered from the stored lower half, with the identity in the place of E_KK. Then the product
// kernel makes R ← N old, and invert_update.wgsl all else from R. A matrix of one block is done here, by its one
// workgroup: E ← −N'N. Written by scripts/unroll.mjs between `unroll` and `end`, and wholly for 64 rows.
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

struct SweepProblem {
  first: u32,
  size: u32,
  width: u32,
  block: u32,
  workOffset: u32,
  pivotOffset: u32,
  oldOffset: u32,
  newOffset: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<SweepProblem>;
@group(0) @binding(1) var<storage, read_write> work: array<f32>;
@group(0) @binding(2) var<storage, read_write> panel: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<u32>>;

const BLOCK = 32u;
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

fn sweep(problem: SweepProblem, row: u32) {
  // At most BLOCK, but a number the compiler does not know: unrolled, these loops take a software adapter seconds to compile.
  let rows = problem.width;
  // unroll row cols=32 of=problem
  var r0 = vec4f(entry(problem, row, 0u), entry(problem, row, 1u), entry(problem, row, 2u), entry(problem, row, 3u));
  var r1 = vec4f(entry(problem, row, 4u), entry(problem, row, 5u), entry(problem, row, 6u), entry(problem, row, 7u));
  var r2 = vec4f(entry(problem, row, 8u), entry(problem, row, 9u), entry(problem, row, 10u), entry(problem, row, 11u));
  var r3 = vec4f(entry(problem, row, 12u), entry(problem, row, 13u), entry(problem, row, 14u), entry(problem, row, 15u));
  var r4 = vec4f(entry(problem, row, 16u), entry(problem, row, 17u), entry(problem, row, 18u), entry(problem, row, 19u));
  var r5 = vec4f(entry(problem, row, 20u), entry(problem, row, 21u), entry(problem, row, 22u), entry(problem, row, 23u));
  var r6 = vec4f(entry(problem, row, 24u), entry(problem, row, 25u), entry(problem, row, 26u), entry(problem, row, 27u));
  var r7 = vec4f(entry(problem, row, 28u), entry(problem, row, 29u), entry(problem, row, 30u), entry(problem, row, 31u));
  // end
  var clamped = false;
  if (row == 0u) {
    // unroll publish cols=32 at=0u
    pivotRow[0u + 0u] = r0;
    pivotRow[0u + 1u] = r1;
    pivotRow[0u + 2u] = r2;
    pivotRow[0u + 3u] = r3;
    pivotRow[0u + 4u] = r4;
    pivotRow[0u + 5u] = r5;
    pivotRow[0u + 6u] = r6;
    pivotRow[0u + 7u] = r7;
    // end
    clamped = setPivot(0u, 0u);
  }
  workgroupBarrier();
  for (var k = 0u; k < rows; k++) {
    let current = (k & 1u) * QUARTERS;
    let following = QUARTERS - current;
    let pivot = pivots[k & 1u];
    let value = pivotRow[current + row / 4u][row % 4u];
    let inverse = select(select(0.0, 1.0, row == k), -value, row < k);
    panel[problem.pivotOffset + row * BLOCK + k] = inverse * inverseSqrt(pivot);
    if (row > k && row < rows) {
      let factor = value / pivot;
      // unroll eliminate cols=32
      r0 = fma(vec4f(-factor), pivotRow[current + 0u], r0);
      r1 = fma(vec4f(-factor), pivotRow[current + 1u], r1);
      r2 = fma(vec4f(-factor), pivotRow[current + 2u], r2);
      r3 = fma(vec4f(-factor), pivotRow[current + 3u], r3);
      r4 = fma(vec4f(-factor), pivotRow[current + 4u], r4);
      r5 = fma(vec4f(-factor), pivotRow[current + 5u], r5);
      r6 = fma(vec4f(-factor), pivotRow[current + 6u], r6);
      r7 = fma(vec4f(-factor), pivotRow[current + 7u], r7);
      // end
      if (row == k + 1u) {
        // unroll publish cols=32 at=following
        pivotRow[following + 0u] = r0;
        pivotRow[following + 1u] = r1;
        pivotRow[following + 2u] = r2;
        pivotRow[following + 3u] = r3;
        pivotRow[following + 4u] = r4;
        pivotRow[following + 5u] = r5;
        pivotRow[following + 6u] = r6;
        pivotRow[following + 7u] = r7;
        // end
        clamped = setPivot(following, row);
      }
    }
    workgroupBarrier();
  }
  if (row < rows) {
    for (var j = 0u; j < rows; j++) {
      panel[problem.oldOffset + j * problem.size + problem.block + row] = select(0.0, 1.0, j == row);
    }
  }
  if (problem.size == rows) {
    storageBarrier();
    for (var j = 0u; j <= row && row < rows; j++) {
      var sum = 0.0;
      for (var k = row; k < rows; k++) {
        sum = fma(panel[problem.pivotOffset + row * BLOCK + k], panel[problem.pivotOffset + j * BLOCK + k], sum);
      }
      work[problem.workOffset + row * problem.size + j] = -sum;
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
) {
  let number = id.x + id.y * count.x;
  // The last problem whose first workgroup is not after this one.
  var index = 0u;
  for (var end = arrayLength(&problems); end - index > 1u;) {
    let middle = (index + end) / 2u;
    let before = problems[middle].first <= number;
    index = select(index, middle, before);
    end = select(middle, end, before);
  }
  let problem = problems[index];
  let part = number - problem.first;
  if (part == 0u) {
    sweep(problem, thread);
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
