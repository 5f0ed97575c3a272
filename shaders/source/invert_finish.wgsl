// X ← −D^-½ E D^-½, the inverse of S + λI from the swept lower half of E, written mirrored so that X is symmetric to the
// bit. A matrix whose status has bit 1 (not positive definite) or 2 (non-finite) keeps the X it had.
//
// Layout: X in f32 with any stride. A workgroup writes ROWS rows and their mirror image. Dispatched by src/linalg/invert.ts,
// many matrices at once.

# bindings("linalg/invert-kernels", "finishLayout");

override THREADS: u32 = 64;
const ROWS = 4u;
const FAILED = 3u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  if ((status[problem.index] & FAILED) != 0u) {
    return;
  }
  let first = (number - problem.first) * ROWS;
  for (var i = first; i < min(first + ROWS, problem.n); i++) {
    let rowScale = -scales[problem.scaleOffset + i];
    for (var j = thread; j <= i; j += THREADS) {
      let value = work[problem.workOffset + i * problem.size + j] * rowScale * scales[problem.scaleOffset + j];
      x[problem.xOffset + i * problem.xStride + j] = value;
      x[problem.xOffset + j * problem.xStride + i] = value;
    }
  }
}
