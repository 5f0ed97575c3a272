// V ← μV + νU, W ← W − ηV, layer by layer; a layer whose coefficient ν is 0 is left alone, and so is a weight that would
// not be finite.
//
// Layout: U, V and W share offsets and strides. A workgroup serves one row. Dispatched by src/optimizers/directions/kfac.ts.

# bindings("optimizers/directions/kfac", "kfacStepLayout");

override THREADS: u32 = 64;

# include("finite");

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let row = number - problem.first;
  let coefficient = coefficients[index];
  if (row >= problem.rows || coefficient == 0.0) {
    return;
  }
  let start = problem.offset + row * problem.stride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let v = settings.momentum * velocity[start + j] + coefficient * update[start + j];
    let next = weights[start + j] - settings.learningRate * v;
    if (finite(v) && finite(next)) {
      velocity[start + j] = v;
      weights[start + j] = next;
    }
  }
}
