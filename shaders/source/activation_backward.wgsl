// D ← S ∘ φ'(Z) with φ' taken from the output A = φ(Z), and D' beside it where a product reads that next. S and D are both
// derivatives back through the network (then they are one matrix) or both along directions.
//
// Layout: S and D are rows × features in `deltas`, several blocks of one row per example under each other: row r belongs to
// example r mod examples, a row of A in `values`. D' is features × rows in `transposed`. Offsets and strides in
// elements. A workgroup takes one row. Dispatched by src/layers/activation.ts.

# bindings("layers/activation", "activationBackwardLayout");

override THREADS: u32 = 64;

# include("activation_kinds");
# include("slope_at", { type: "f32" });

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
  let value = problem.valueOffset + (row % problem.examples) * problem.valueStride;
  let source = problem.sourceOffset + row * problem.sourceStride;
  let at = problem.deltaOffset + row * problem.deltaStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let delta = deltas[source + j] * slopeAt(problem.kind, problem.slope, values[value + j]);
    deltas[at + j] = delta;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + j * problem.transposedStride + row] = delta;
    }
  }
}
