// First of three kernels of a block sweep over block K, of 32 rows or fewer: N ← D^-½ L⁻¹, where E_KK = L D L', by an
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
//
// A thread keeps a row. For adapters whose subgroups have 4 lanes (software adapters), which share their loads of the pivot's row.
//
// Written by `npm run shaders` from source/invert_pivot.wgsl.
enable subgroups; diagnostic(off, subgroup_uniformity);

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

fn entry(problem: SweepProblem, i: u32, j: u32) -> f32 {
  let corner = problem.workOffset + problem.block * (problem.size + 1u);
  return work[corner + max(i, j) * problem.size + min(i, j)];
}

// This pivot's row and the next one's, in turns. In the place of the pivot itself it holds pivot − 1, since
// a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all columns, and as accurate, as the pivot is at most 1.
var<workgroup> pivotRow: array<vec4f, 2 * QUARTERS>;
var<workgroup> pivots: array<f32, 2>;

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
  var r0 = row[0];
  var r1 = row[1];
  var r2 = row[2];
  var r3 = row[3];
  var r4 = row[4];
  var r5 = row[5];
  var r6 = row[6];
  var r7 = row[7];
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
    if (subgroupAny(below)) {
      let factor = select(0.0, value / pivot, below);
      let p0 = pivotRow[current + lane + 0u];
      let p1 = pivotRow[current + lane + 4u];
      r0 = fma(vec4f(-factor), subgroupBroadcast(p0, 0u), r0);
      r1 = fma(vec4f(-factor), subgroupBroadcast(p0, 1u), r1);
      r2 = fma(vec4f(-factor), subgroupBroadcast(p0, 2u), r2);
      r3 = fma(vec4f(-factor), subgroupBroadcast(p0, 3u), r3);
      r4 = fma(vec4f(-factor), subgroupBroadcast(p1, 0u), r4);
      r5 = fma(vec4f(-factor), subgroupBroadcast(p1, 1u), r5);
      r6 = fma(vec4f(-factor), subgroupBroadcast(p1, 2u), r6);
      r7 = fma(vec4f(-factor), subgroupBroadcast(p1, 3u), r7);
    }
    if (below && thread == k + 1u) {
      row[0] = r0;
      row[1] = r1;
      row[2] = r2;
      row[3] = r3;
      row[4] = r4;
      row[5] = r5;
      row[6] = r6;
      row[7] = r7;
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

// Threads of a workgroup.
const THREADS = BLOCK;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
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
    sweep(problem, thread, lane);
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
