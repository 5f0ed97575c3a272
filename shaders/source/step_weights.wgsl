// V ← μV + νU, W ← W − ηV − ηωW, layer by layer; where no V is kept, V is νU. ω is that of a decoupled weight decay. A layer
// whose coefficient ν is 0 is left alone, and so is a weight that would not be finite. η, μ, ηω and the verdict are in
// `applied`. Where `good` is kept, it receives the weights from which a step is taken; a step that is taken back puts them in
// their place again, and V to zero.
//
// Layout: U, V, W and `good` share offsets and strides. A workgroup serves one row. Dispatched by src/optimizers/tail.ts,
// all layers at once.

# bindings("optimizers/tail", "stepWeightsLayout");

override THREADS: u32 = 64;

# include("finite");
# include("verdicts");

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
  let step = applied[0];
  let idle = coefficient == 0.0 && step.verdict == TAKEN && step.good == 0u;
  if (row >= problem.rows || step.verdict == HELD || idle) {
    return;
  }
  let keeps = step.velocity != 0u;
  let start = problem.offset + row * problem.stride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let at = start + j;
    if (step.verdict == RESTORED) {
      weights[at] = good[at];
      if (keeps) {
        velocity[at] = 0.0;
      }
      continue;
    }
    let w = weights[at];
    if (step.good != 0u) {
      good[at] = w;
    }
    if (coefficient == 0.0) {
      continue;
    }
    var v = coefficient * update[at];
    if (keeps) {
      v = step.momentum * velocity[at] + v;
    }
    var next = w - step.learningRate * v;
    if (step.decay != 0.0) {
      next -= step.decay * w;
    }
    if (finite(v) && finite(next)) {
      if (keeps) {
        velocity[at] = v;
      }
      weights[at] = next;
    }
  }
}
