// V ← μV + νU, W ← W − ηV, layer by layer; where no V is kept, W ← W − ηνU. A layer whose coefficient ν is 0 is left alone,
// and so is a weight that would not be finite.
//
// Layout: U, V and W share offsets and strides. A workgroup serves one row. Dispatched by src/optimizers/tail.ts, all
// layers at once.

# bindings("optimizers/tail", "stepWeightsLayout");

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
  let keeps = settings.velocity != 0u;
  let start = problem.offset + row * problem.stride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    var v = coefficient * update[start + j];
    if (keeps) {
      v = settings.momentum * velocity[start + j] + v;
    }
    let next = weights[start + j] - settings.learningRate * v;
    if (finite(v) && finite(next)) {
      if (keeps) {
        velocity[start + j] = v;
      }
      weights[start + j] = next;
    }
  }
}
