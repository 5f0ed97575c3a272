// V ← μV + νU, W ← W − ηV, layer by layer; where no V is kept, W ← W − ηνU. A layer whose coefficient ν is 0 is left alone,
// and so is a weight that would not be finite.
//
// Layout: U, V and W share offsets and strides. A workgroup serves one row. Dispatched by src/optimizers/tail.ts, all
// layers at once.
//
// Written by `npm run shaders` from source/step_weights.wgsl.

struct WeightsProblem {
  first: u32,
  rows: u32,
  cols: u32,
  offset: u32,
  stride: u32,
}

struct StepSettings {
  learningRate: f32,
  momentum: f32,
  weightDecay: f32,
  klClip: f32,
  velocity: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<WeightsProblem>;
@group(0) @binding(1) var<uniform> settings: StepSettings;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<storage, read> update: array<f32>;
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;

override THREADS: u32 = 64;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}

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
