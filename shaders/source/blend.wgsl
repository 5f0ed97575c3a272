// s ← β s + α Σ t over rows × cols matrices: a moving mean takes in a batch's sum, which may come in several parts that
// lie one behind the other and are added in their order. With α = 0, t is not read, with β = 0 neither is the old s: they
// may hold numbers that are not finite, and 0 · NaN is NaN.
//
// Layout: any strides, in elements. α and β come from `scales`, one (α, β) a problem, which may be written on the GPU. A
// workgroup blends one row. Dispatched by src/linalg/blend.ts, many problems at once.

# bindings("linalg/blend", "blendLayout");

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
  let scale = scales[problem.scale];
  let parts = select(problem.parts, 0u, scale.x == 0.0);
  let source = problem.tOffset + i * problem.tStride;
  let into = problem.sOffset + i * problem.sStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    var sum = 0.0;
    for (var part = 0u; part < parts; part++) {
      sum += t[source + part * problem.partLength + j];
    }
    var result = scale.x * sum;
    if (scale.y != 0.0) {
      result += scale.y * s[into + j];
    }
    s[into + j] = result;
  }
}
