// y ← y + α x over rows × cols matrices. Layout: any strides, in elements. A workgroup adds one row. Dispatched by
// src/linalg/axpy.ts, many problems at once.

# bindings("linalg/axpy", "axpyLayout");

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
  let source = problem.xOffset + i * problem.xStride;
  let sum = problem.yOffset + i * problem.yStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    y[sum + j] = fma(problem.alpha, x[source + j], y[sum + j]);
  }
}
