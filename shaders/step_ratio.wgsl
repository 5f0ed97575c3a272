// Levenberg–Marquardt's rule for λ (Martens & Grosse 2015, section 6.5): the reduction ratio is the change of the loss of the
// batch just used, measured again after the step, over the change that its quadratic model predicted. Above 3/4 the model
// can be trusted further, and λ falls by DECAY to the power of `every`, the steps between two looks; below 1/4, or where the
// loss is not finite, it rises as much.
//
// One thread. Dispatched by src/optimizers/control/control.ts at the end of a step.
//
// Written by `npm run shaders` from source/step_ratio.wgsl.

struct ControlSettings {
  learningRate: f32,
  momentum: f32,
  damping: f32,
  rule: u32,
  leastDamping: f32,
  mostDamping: f32,
  penalty: f32,
  decoupled: f32,
  klClip: f32,
  trustRegion: f32,
  measures: u32,
  refreshes: u32,
  examples: u32,
  every: u32,
  waits: u32,
  moved: u32,
  period: u32,
}

struct StepState {
  initialized: u32,
  seen: u32,
  badInARow: u32,
  verdict: u32,
  skip: u32,
  rejected: u32,
  heldBatches: u32,
  judgeable: u32,
  mean: f32,
  deviation: f32,
  boost: f32,
  shrink: f32,
  lambda: f32,
  rate: f32,
  momentum: f32,
  slope: f32,
  bend: f32,
  slopeFound: f32,
  slopeCount: f32,
  steepness: f32,
  steepnessCount: f32,
  momentumSlope: f32,
  momentumCurvature: f32,
  lastMomentum: f32,
  promise: f32,
  takenRate: f32,
  promisedSlope: f32,
  gained: f32,
  examples: f32,
  loss: f32,
  predicted: f32,
  ratio: f32,
  steeredDamping: f32,
  lowInARow: u32,
  startLoss: f32,
  firstLoss: f32,
  tolerance: f32,
  stale: u32,
  tolerated: u32,
}

@group(0) @binding(0) var<uniform> settings: ControlSettings;
@group(0) @binding(1) var<storage, read> after: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<StepState>;

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

const DECAY = 0.95;

@compute @workgroup_size(1)
fn main() {
  let predicted = state[0].predicted;
  if (state[0].verdict != TAKEN || !(predicted < 0.0) || state[0].steeredDamping <= 0.0) {
    return;
  }
  var ratio = -1.0;
  if (finite(after[0])) {
    ratio = (after[0] - state[0].loss) / predicted;
  }
  state[0].ratio = ratio;
  let factor = pow(DECAY, f32(settings.every));
  var next = state[0].steeredDamping;
  if (ratio > 0.75) {
    next *= factor;
  } else if (!(ratio >= 0.25)) {
    next /= factor;
  }
  state[0].steeredDamping = clamp(next, settings.leastDamping, settings.mostDamping);
}
