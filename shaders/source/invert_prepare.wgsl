// E ← D^-½ (S + λI) D^-½ with D = diag(S + λI), the equilibrated and damped matrix that the sweep inverts; its diagonal
// is 1, so pivots and the damping are free of S's scale. Two kernels: `diagonal` writes D^-½, `equilibrate` writes the
// lower half of E, ROWS rows a workgroup.
//
// Layout: S in f32 with any stride; E is size × size with size a multiple of the sweep's block, padded by the identity.
// Status bits of the matrix: 1 a diagonal number that is not positive, 2 a non-finite number, 4 a damping below
// 1e-5 λ_max (estimated from below by ‖S‖²/tr S). Dispatched by src/linalg/invert.ts, many matrices at once.

# bindings("linalg/invert-kernels", "prepareLayout");

override THREADS: u32 = 64;
const ROWS = 4u;
const DAMPING_FLOOR = 1e-5;
const SMALLEST_NORMAL = 1.17549435e-38;
const NOT_POSITIVE = 1u;
const NOT_FINITE = 2u;
const DAMPING_LOW = 4u;

# include("finite");

@compute @workgroup_size(THREADS)
fn diagonal(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let problem = problems[id.x];
  let damping = dampings[problem.index];
  for (var i = thread; i < problem.size; i += THREADS) {
    var scale = 1.0;
    if (i < problem.n) {
      let diagonal = s[problem.sOffset + i * (problem.sStride + 1u)] + damping;
      if (!finite(diagonal)) {
        atomicOr(&status[problem.index], NOT_FINITE);
      } else if (diagonal < SMALLEST_NORMAL) {
        atomicOr(&status[problem.index], NOT_POSITIVE);
      } else {
        scale = inverseSqrt(diagonal);
      }
    }
    scales[problem.scaleOffset + i] = scale;
  }
  if (thread == 0u) {
    let norm = norms[problem.index];
    if (damping * norm.x < DAMPING_FLOOR * norm.y) {
      atomicOr(&status[problem.index], DAMPING_LOW);
    }
  }
}

@compute @workgroup_size(THREADS)
fn equilibrate(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let first = (number - problem.first) * ROWS;
  var allFinite = true;
  for (var i = first; i < min(first + ROWS, problem.size); i++) {
    let rowScale = scales[problem.scaleOffset + i];
    // Above the diagonal only to look: a matrix with a number that is not finite anywhere is refused.
    for (var j = thread; j < problem.size; j += THREADS) {
      var value = select(0.0, 1.0, i == j);
      if (i < problem.n && j < problem.n) {
        let entry = s[problem.sOffset + i * problem.sStride + j];
        allFinite = allFinite && finite(entry);
        if (i != j) {
          value = entry * rowScale * scales[problem.scaleOffset + j];
        }
      }
      if (j <= i) {
        work[problem.workOffset + i * problem.size + j] = value;
      }
    }
  }
  if (!allFinite) {
    atomicOr(&status[problem.index], NOT_FINITE);
  }
}
