// G ← cG + ωW, the gradient of the loss, clipped, and of the penalty ½ω‖W‖² (c = 1 and ω = 0: G stays as it is), and
// flags[problem.flag] |= problem.bit where G then holds a number that is not finite. c = min(1, clip / ‖G‖) where there is a
// clip, with the norm over all layers whose own is finite; where that norm, or the layer's own, is beyond f32, so that there
// is no telling c, it counts as a number that is not finite.
//
// Layout: G and W share offsets and strides; `squares` holds ‖G‖² of each layer, read where there is a clip. A workgroup serves ROWS rows. Dispatched by src/optimizers/tail.ts, all layers
// at once.

# bindings("optimizers/tail", "stepGradientLayout");

override THREADS: u32 = 64;
const ROWS = 16u;
# include("finite");

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let row = (number - problem.first) * ROWS;
  let decays = settings.penalty != 0.0;
  let clips = settings.gradientClip > 0.0;
  var scale = 1.0;
  var largest = 0u;
  if (clips) {
    var total = 0.0;
    for (var l = 0u; l < arrayLength(&problems); l++) {
      total += select(0.0, squares[l], finite(squares[l]));
    }
    if (!(finite(total) && finite(squares[index]))) {
      largest = INFINITY;
    } else if (sqrt(total) > settings.gradientClip) {
      scale = settings.gradientClip / sqrt(total);
    }
  }
  for (var i = row; i < min(row + ROWS, problem.rows); i++) {
    let start = problem.offset + i * problem.stride;
    for (var j = thread; j < problem.cols; j += THREADS) {
      var g = gradients[start + j];
      if (clips) {
        g *= scale;
      }
      if (decays) {
        g = fma(settings.penalty, weights[start + j], g);
      }
      if (clips || decays) {
        gradients[start + j] = g;
      }
      largest = max(largest, bitcast<u32>(g) & INFINITY);
    }
  }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
}
