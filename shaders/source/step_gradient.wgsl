// G ← G + ωW, the gradient of the loss and of the penalty ½ω‖W‖² (ω = 0: G stays as it is), and
// flags[problem.flag] |= problem.bit where G then holds a number that is not finite.
//
// Layout: G and W share offsets and strides. A workgroup serves ROWS rows. Dispatched by src/optimizers/tail.ts, all layers
// at once.

# bindings("optimizers/tail", "stepGradientLayout");

override THREADS: u32 = 64;
const ROWS = 16u;
# include("infinity");

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let row = (number - problem.first) * ROWS;
  let decays = settings.weightDecay != 0.0;
  var largest = 0u;
  for (var i = row; i < min(row + ROWS, problem.rows); i++) {
    let start = problem.offset + i * problem.stride;
    for (var j = thread; j < problem.cols; j += THREADS) {
      var g = gradients[start + j];
      if (decays) {
        g = fma(settings.weightDecay, weights[start + j], g);
        gradients[start + j] = g;
      }
      largest = max(largest, bitcast<u32>(g) & INFINITY);
    }
  }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
}
