# // A sweep with 4 × 4 numbers in each thread's registers: QUARTERS × QUARTERS threads.
// This pivot's row and the next one's, in turns, so that a pivot needs one barrier.
var<workgroup> pivotRow: array<vec4f, 2 * QUARTERS>;

// Thread (tx, ty) keeps rows 4·ty … and columns 4·tx …. The threads that own row k hand it to all: at their columns it is
// a_kj, and at their rows, by symmetry, a_ik. Rows above k are left alone, so when all is done row k still is what it was as the
// pivot's: −(L⁻¹)_kj for j < k.
fn sweep(problem: SweepProblem, thread: u32) {
  let quarters = problem.width / 4u;
  let tx = thread % QUARTERS;
  let ty = thread / QUARTERS;
  let i = 4u * ty;
  let j = 4u * tx;
  let live = ty < quarters && tx < quarters;
# for (const r of upTo(4)) {
  var c${r} = vec4f();
# }
  if (live) {
# for (const r of upTo(4)) {
    c${r} = vec4f(
      entry(problem, i + ${r}u, j), entry(problem, i + ${r}u, j + 1u),
      entry(problem, i + ${r}u, j + 2u), entry(problem, i + ${r}u, j + 3u),
    );
# }
  }
  var own = vec4f(1.0);
  var clamped = false;
  // Pivots four at a time: registers are not indexed by a number that the compiler does not know.
  for (var p = 0u; p < quarters; p++) {
# for (const s of upTo(4)) {
#   const rows = `${s % 2}u * QUARTERS`;
    if (ty == p) {
      pivotRow[${rows} + tx] = c${s};
    }
    workgroupBarrier();
    {
      let found = pivotRow[${rows} + p].${"xyzw"[s]};
      let pivot = select(FLOOR, found, found > FLOOR);
      clamped = clamped || !(found > FLOOR);
      if (ty == p) {
        own.${"xyzw"[s]} = pivot;
      }
      // In the place of the pivot itself stands pivot − 1, since a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all
      // columns, and as accurate, as the pivot is at most 1.
      var right = pivotRow[${rows} + tx];
      if (tx == p) {
        right.${"xyzw"[s]} = pivot - 1.0;
      }
      let below = vec4u(i, i + 1u, i + 2u, i + 3u) > vec4u(4u * p + ${s}u);
      let factor = select(vec4f(), pivotRow[${rows} + ty] / pivot, below);
#   for (const r of upTo(4)) {
      c${r} = fma(vec4f(-factor.${"xyzw"[r]}), right, c${r});
#   }
    }
# }
  }
  // N = D^-½ L⁻¹: nothing above the diagonal, and L⁻¹ has ones on it.
  let scale = inverseSqrt(own);
  let columns = vec4u(j, j + 1u, j + 2u, j + 3u);
# for (const r of upTo(4)) {
  let unit${r} = select(vec4f(), vec4f(1.0), columns == vec4u(i + ${r}u));
  let n${r} = scale.${"xyzw"[r]} * select(unit${r}, -c${r}, columns < vec4u(i + ${r}u));
# }
  if (live) {
# for (const c of upTo(4)) {
#   for (const r of upTo(4)) {
    panel[problem.pivotOffset + (j + ${c}u) * BLOCK + i + ${r}u] = n${r}.${"xyzw"[c]};
    panel[problem.oldOffset + (j + ${c}u) * problem.size + problem.block + i + ${r}u] = select(0.0, 1.0, i + ${r}u == j + ${c}u);
#   }
# }
  }
  if (problem.size == problem.width) {
# for (const r of upTo(4)) {
    var e${r} = vec4f();
# }
    for (var p = 0u; p < quarters; p++) {
# for (const s of upTo(4)) {
#   const rows = `${s % 2}u * QUARTERS`;
      if (ty == p) {
        pivotRow[${rows} + tx] = n${s};
      }
      workgroupBarrier();
      {
        let left = pivotRow[${rows} + ty];
        let right = pivotRow[${rows} + tx];
#   for (const r of upTo(4)) {
        e${r} = fma(vec4f(left.${"xyzw"[r]}), right, e${r});
#   }
      }
# }
    }
    if (live && tx <= ty) {
# for (const r of upTo(4)) {
#   for (const c of upTo(4)) {
      work[problem.workOffset + (i + ${r}u) * problem.size + j + ${c}u] = -e${r}.${"xyzw"[c]};
#   }
# }
    }
  }
  if (clamped && thread == 0u) {
    atomicOr(&status[problem.index], NOT_POSITIVE);
  }
}
