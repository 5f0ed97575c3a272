// First of three kernels of a block sweep over block K: N ← D^-½ L⁻¹, where E_KK = L D L', by an unblocked symmetric sweep
// in workgroup memory, and, in the other workgroups, old ← E_K: (BLOCK × size), gathered from the stored lower half, with
// the identity in the place of E_KK. Then the product kernel makes R ← N old, and invert_update.wgsl all else from R.
// A matrix of one block is done here, by its one workgroup: E ← −N'N.
//
// Sweep of pivot k: a_kk → −1/a_kk, a_ik → a_ik/a_kk, a_ij → a_ij − a_ik a_kj/a_kk. Just before it, row k holds, for the
// pivots j that are swept, −(L⁻¹)_kj. A pivot of E that is not above FLOOR (its diagonal is 1) is clamped to it and the
// matrix's status gets bit 1.
//
// Not (E_KK)⁻¹ old: what remains of E would be a small difference of products as large as the condition number of E_KK,
// and its error would grow with the square. N old is as small as E's own Cholesky factor.
//
// Layout: E size × size, lower half valid, offsets in f32. panel holds N' (BLOCK × BLOCK) and old (BLOCK × size).
// Dispatched by src/linalg/invert.ts: 1 + size / BLOCK workgroups a matrix, many matrices at once.

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
const FLOOR = 2.384185791e-7;
const NOT_POSITIVE = 1u;

// Column-major, so that the threads, one a row, read neighbouring numbers.
var<workgroup> a: array<f32, 1024>;
var<workgroup> pivotRow: array<f32, 64>;
// N, row-major.
var<workgroup> n: array<f32, 1024>;

fn sweep(problem: SweepProblem, row: u32) {
  // BLOCK, but as a number the compiler does not know: unrolled, these loops take a software adapter seconds to compile.
  let rows = problem.width;
  let corner = problem.workOffset + problem.block * (problem.size + 1u);
  for (var j = 0u; j < rows; j++) {
    let value = work[corner + max(row, j) * problem.size + min(row, j)];
    a[j * BLOCK + row] = value;
    if (row == 0u) {
      pivotRow[j] = value;
    }
  }
  workgroupBarrier();
  var clamped = false;
  for (var k = 0u; k < rows; k++) {
    let current = (k & 1u) * BLOCK;
    let following = BLOCK - current;
    var pivot = pivotRow[current + k];
    if (!(pivot > FLOOR)) {
      pivot = FLOOR;
      clamped = true;
    }
    let entry = pivotRow[current + row];
    let inverse = select(select(0.0, 1.0, row == k), -entry, row < k);
    let scaled = inverse * inverseSqrt(pivot);
    n[k * BLOCK + row] = scaled;
    panel[problem.pivotOffset + row * BLOCK + k] = scaled;
    let factor = select(entry / pivot, -1.0 / pivot, row == k);
    let keep = select(1.0, 0.0, row == k);
    for (var j = 0u; j < rows; j++) {
      let at = j * BLOCK + row;
      let value = fma(-factor, pivotRow[current + j], keep * a[at]);
      a[at] = value;
      if (row == k + 1u) {
        pivotRow[following + j] = value;
      }
    }
    // The pivot's own column and row: the loop above left −(−1/p)·row for the row, and the column needs the plain factor.
    a[k * BLOCK + row] = factor;
    if (row == k + 1u) {
      pivotRow[following + k] = factor;
    }
    workgroupBarrier();
  }
  for (var j = 0u; j < rows; j++) {
    panel[problem.oldOffset + j * problem.size + problem.block + row] = select(0.0, 1.0, j == row);
  }
  if (problem.size == BLOCK) {
    for (var j = 0u; j < rows; j++) {
      var sum = 0.0;
      for (var k = 0u; k < rows; k++) {
        sum = fma(n[k * BLOCK + row], n[k * BLOCK + j], sum);
      }
      work[corner + row * BLOCK + j] = -sum;
    }
  }
  if (clamped && row == 0u) {
    atomicOr(&status[problem.index], NOT_POSITIVE);
  }
}

@compute @workgroup_size(32)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  var index = 0u;
  for (var next = 1u; next < arrayLength(&problems) && problems[next].first <= number; next++) {
    index = next;
  }
  let problem = problems[index];
  let part = number - problem.first;
  if (part == 0u) {
    sweep(problem, thread);
    return;
  }
  let i = (part - 1u) * BLOCK + thread;
  if (i >= problem.size || (i >= problem.block && i < problem.block + BLOCK)) {
    return;
  }
  for (var q = 0u; q < problem.width; q++) {
    let row = problem.block + q;
    let value = work[problem.workOffset + max(i, row) * problem.size + min(i, row)];
    panel[problem.oldOffset + q * problem.size + i] = value;
  }
}
