// target ← source where flags[problem.flag] is 0, and 0 elsewhere: numbers that are not finite stop here.
//
// Layout: any strides, in elements. A workgroup copies one row. Dispatched by src/linalg/guard.ts, many matrices at once.

# bindings("linalg/guard", "guardLayout");

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let i = number - problem.first;
  if (i >= problem.rows) {
    return;
  }
  let passes = flags[problem.flag] == 0u;
  let start = problem.sourceOffset + i * problem.sourceStride;
  let written = problem.targetOffset + i * problem.targetStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    guarded[written + j] = select(0.0, source[start + j], passes);
  }
}
