// G ← cG + ωW, the gradient of the loss, clipped, and of the penalty ½ω‖W‖² (c = 1 and ω = 0: G stays as it is), and
// flags[problem.flag] |= problem.bit where G then holds a number that is not finite. c = min(1, clip / ‖G‖) where there is a
// clip, with the norm over all layers whose own is finite; where that norm, or the layer's own, is beyond f32, so that there
// is no telling c, it counts as a number that is not finite.
//
// Of what G then is, each workgroup leaves its part of ‖G‖² and, where SLOPE is 1, of ⟨G, U⟩ with the U of the step before.
//
// Layout: G, W and U share offsets and strides; `squares` holds ‖G‖² of each layer, read where there is a clip. A workgroup serves
// ROWS rows; its parts go to `sums` from element problem.slopes + 2 · its number in the layer on, a row's sum by a thread's every
// THREADS-th number, then the rows, then a tree over the threads. Dispatched by src/optimizers/tail.ts, all layers at once.

# bindings("optimizers/tail", "stepGradientLayout");

override THREADS: u32 = 64;
override SLOPE: u32 = 0;
const ROWS = 16u;
# include("finite");

var<workgroup> parts: array<vec2f, THREADS>;

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
  var part = vec2f();
  for (var i = row; i < min(row + ROWS, problem.rows); i++) {
    let start = problem.offset + i * problem.stride;
    var own = vec2f();
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
      own.x = fma(g, g, own.x);
      if (SLOPE != 0u) {
        own.y = fma(g, update[start + j], own.y);
      }
    }
    part += own;
  }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
  parts[thread] = part;
  workgroupBarrier();
  # include("tree", { shared: "parts", half: "THREADS / 2u", lane: "thread", join: "sum" });
  // Workgroups beyond the last row belong to nobody.
  if (thread == 0u && row < problem.rows) {
    let into = problem.slopes + 2u * (number - problem.first);
    sums[into] = parts[0].x;
    sums[into + 1u] = parts[0].y;
  }
}
