// A ← φ(Z), element by element, and A' beside it where a product reads that next; φ is one of KIND_…, identity included.
//
// Layout: Z and A are count × features matrices, one example a row, in `values` (in place where their offsets agree);
// A' is features × count in `transposed`. Offsets and strides in elements. A workgroup takes one row, its threads walk
// along the features. Dispatched by src/layers/activation.ts.

# bindings("layers/activation", "activationLayout");

override THREADS: u32 = 64;

# include("activate", { type: "f32" });

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= problem.rows) {
    return;
  }
  let source = problem.sourceOffset + row * problem.sourceStride;
  let into = problem.targetOffset + row * problem.targetStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let a = activate(problem.kind, problem.slope, values[source + j]);
    values[into + j] = a;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + j * problem.transposedStride + row] = a;
    }
  }
}
