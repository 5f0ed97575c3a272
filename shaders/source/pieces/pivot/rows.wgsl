# // A sweep with a row in each thread's registers: BLOCK threads.
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
