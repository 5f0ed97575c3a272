// V ← μV + νU, W ← W − ηV − ηωW, layer by layer; where no V is kept, V is νU. ω is that of a decoupled weight decay. A layer
// whose coefficient ν is 0 is left alone, and so is a weight that would not be finite. η, μ, ηω and the verdict are in
// `applied`. Where `good` is kept, it receives the weights from which a step is taken; a step that is taken back puts them in
// their place again, and V to zero.
//
// Layout: U, V, W and `good` share offsets and strides. A workgroup serves one row. Dispatched by src/optimizers/tail.ts,
// all layers at once.
//
// Written by `npm run shaders` from source/step_weights.wgsl.

struct WeightsProblem {
  first: u32,
  rows: u32,
  cols: u32,
  offset: u32,
  stride: u32,
}

struct AppliedStep {
  learningRate: f32,
  momentum: f32,
  verdict: u32,
  velocity: u32,
  good: u32,
  decay: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<WeightsProblem>;
@group(0) @binding(1) var<storage, read> applied: array<AppliedStep>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<storage, read> update: array<f32>;
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(5) var<storage, read_write> good: array<f32>;
@group(0) @binding(6) var<storage, read_write> weights: array<f32>;

override THREADS: u32 = 64;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}
// What became of a step.
const TAKEN = 0u;
const HELD = 1u;
const RESTORED = 2u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  // The last problem whose first workgroup is not after this one.
  var index = 0u;
  for (var end = arrayLength(&problems); end - index > 1u;) {
    let middle = (index + end) / 2u;
    let before = problems[middle].first <= number;
    index = select(index, middle, before);
    end = select(middle, end, before);
  }
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
