// The verdict on a batch, from its loss: whether it is taken, held back, or shows that the step before was bad, which is then
// taken back. A loss is bad when it is not finite, or above both the mean and SPREAD mean deviations, more for batches smaller
// than usual, and REJECT times the running mean by more than UNKNOWN examples would make that lose what they did at the start.
// Where batches keep turning out to be bad by themselves, as those with examples of a rare class do, they are part of the data:
// the bound is multiplied by `tolerance`, which goes from 1 to 2, 8, 128 … with each of them and falls with good ones. One such
// batch in a hundred stays out, and so does a loss of more than FAR times that at the start.
// The first bad batch is held: it changes nothing. If the next one is good, the batch was bad by itself. If that is bad too,
// the weights are: those before the last step come back, λ is raised and steps are shortened. What is still bad then is held,
// since the step was not to blame, and λ and the length of steps are as they were. Before the first step that changes weights
// (`moved`) every bad batch is held. Where PATIENCE batches in a row are bad and
// the next is finite, the data have changed: its loss is the new normal, and the curvature starts afresh; until all inverses have
// been renewed (`stale`) weights stay as they are. The curvature also starts afresh where the
// first batches were bad: two in a row are below 1 / DROP of the running mean. λ, which the curvature reads, is fixed, follows
// the running loss, less of it the more steps gain (pieces/gain.wgsl), or is steered by step_ratio.wgsl, times `boost`.
//
// One thread; the state is one struct. Dispatched by src/optimizers/control/control.ts after a pass and before its statistics.
//
// Written by `npm run shaders` from source/step_judge.wgsl.

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
@group(0) @binding(1) var<storage, read> statistics: array<f32>;
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
// What λ is: the setting itself, so large a share of the running loss, or steered by the reduction ratio.
const FIXED = 0u;
const RELATIVE = 1u;
const RATIO = 2u;
// What the next batch leaves of a step's promise decides how careful steps are. The gain of steps is, by that batch,
//
//     (⟨G, V⟩ + (1 − w / 2) V'CV) / (ρ⟨G, U⟩ + μ⟨G, V⟩ promised),   w = min(1, ρ / LONG),   above and below a running mean.
//
// With w = 0 it is the share of the promised slope that the next batch finds where the step began: what of a gradient is more than
// its batch's noise. With w = 1 it is the share by which the loss fell: 0 where steps do no more than undo the noise of those before, as
// they do round a minimum. That costs about ρ / 2 of the noise, so long steps have to care and short ones need not.
//
// Steps may be shortened down to √(gain / CLEAR) in [LEAST, 1]; of λ's share of the loss goes PLAIN / gain in [LEAST_SHARE, 1].
const LONG = 0.15;
const CLEAR = 0.1;
const LEAST = 1.0 / 3.0;
const PLAIN = 0.025;
const LEAST_SHARE = 0.25;

fn gain_above(slope: f32, bend: f32, rate: f32) -> f32 {
  return slope + (1.0 - 0.5 * min(1.0, rate / LONG)) * bend;
}

fn least_length(gain: f32) -> f32 {
  return clamp(sqrt(max(gain, 0.0) / CLEAR), LEAST, 1.0);
}

fn damping_share(gain: f32) -> f32 {
  return clamp(PLAIN / max(gain, PLAIN), LEAST_SHARE, 1.0);
}

const REJECT = 3.0;
const SPREAD = 6.0;
const UNKNOWN = 3.0;
const PATIENCE = 5u;
const DROP = 30.0;
const RAISE = 10.0;
const SHORTEN = 0.25;
const MEMORY = 0.9;
const FAR = 10.0;
const LARGEST_TOLERANCE = 1e12;
const LARGEST_BOOST = 1e12;
const LEAST_SHRINK = 1e-12;
const LEFT_OUT = 1u;
const AFRESH = 2u;

// What was learned of other data counts no longer, the curvature included.
fn start_afresh(loss: f32) {
  state[0].tolerance = 1.0;
  state[0].skip = AFRESH;
  state[0].lowInARow = 0u;
  state[0].firstLoss = loss;
  state[0].mean = loss;
  state[0].deviation = 0.0;
  state[0].judgeable = 0u;
  state[0].slopeFound = 0.0;
  state[0].slopeCount = 0.0;
  state[0].steepness = 0.0;
  state[0].steepnessCount = 0.0;
  state[0].promisedSlope = 0.0;
  state[0].gained = 0.0;
}

fn take(loss: f32, bound: f32) {
  state[0].verdict = TAKEN;
  state[0].tolerated = select(0u, 1u, loss > bound && state[0].seen > 0u);
  state[0].skip = 0u;
  state[0].stale -= min(state[0].stale, 1u);
  // One bad batch, or those after a step was taken back: the weights were not to blame.
  let alone = state[0].badInARow == 1u || state[0].badInARow > 2u;
  if (alone && finite(state[0].loss)) {
    state[0].tolerance = min(2.0 * state[0].tolerance * state[0].tolerance, LARGEST_TOLERANCE);
  } else {
    state[0].tolerance = max(0.98 * state[0].tolerance, 1.0);
  }
  state[0].lowInARow = select(0u, state[0].lowInARow + 1u, state[0].mean > DROP * loss);
  if (state[0].seen == 0u) {
    state[0].startLoss = loss;
    state[0].firstLoss = loss;
    state[0].mean = loss;
    state[0].deviation = 0.0;
  } else if (state[0].badInARow >= PATIENCE) {
    start_afresh(loss);
    state[0].startLoss = loss;
    state[0].stale = settings.period;
  } else if (state[0].lowInARow == 2u && state[0].seen <= PATIENCE) {
    start_afresh(loss);
  } else {
    state[0].deviation = MEMORY * state[0].deviation + (1.0 - MEMORY) * abs(loss - state[0].mean);
    state[0].mean = MEMORY * state[0].mean + (1.0 - MEMORY) * loss;
  }
  state[0].seen += 1u;
  state[0].badInARow = 0u;
  state[0].boost = max(state[0].boost * 0.97, 1.0);
  state[0].shrink = min(state[0].shrink * 1.03, 1.0);
}

fn leave() {
  state[0].skip = LEFT_OUT;
  state[0].badInARow += 1u;
  state[0].lowInARow = 0u;
  // The direction of this batch is never judged.
  state[0].judgeable = 0u;
  // Where no step has changed the weights yet, none is to blame.
  if (state[0].badInARow == 2u && state[0].seen > 0u && settings.moved != 0u) {
    state[0].verdict = RESTORED;
    state[0].rejected += 1u;
    state[0].boost = min(state[0].boost * RAISE, LARGEST_BOOST);
    state[0].shrink = max(state[0].shrink * SHORTEN, LEAST_SHRINK);
    state[0].momentumSlope = 0.0;
    state[0].momentumCurvature = 0.0;
    return;
  }
  if (state[0].badInARow == 3u && state[0].seen > 0u) {
    state[0].boost = max(state[0].boost / RAISE, 1.0);
    state[0].shrink = min(state[0].shrink / SHORTEN, 1.0);
  }
  state[0].verdict = HELD;
  state[0].heldBatches += 1u;
}

@compute @workgroup_size(1)
fn main() {
  if (state[0].initialized == 0u) {
    state[0].initialized = 1u;
    state[0].boost = 1.0;
    state[0].shrink = 1.0;
    state[0].tolerance = 1.0;
  }
  let loss = statistics[0];
  let mean = state[0].mean;
  // The mean of fewer examples scatters more.
  let examples = f32(settings.examples);
  if (state[0].seen == 0u) {
    state[0].examples = examples;
  }
  let scatter = sqrt(max(state[0].examples / examples, 1.0));
  state[0].examples = MEMORY * state[0].examples + (1.0 - MEMORY) * examples;
  let limit = (1.0 + (REJECT - 1.0) * scatter) * mean + UNKNOWN * state[0].firstLoss / examples;
  let spread = mean + SPREAD * scatter * state[0].deviation;
  let bound = max(limit, spread);
  let within = loss <= min(state[0].tolerance * bound, FAR * state[0].startLoss);
  let usual = state[0].seen == 0u || loss <= bound || within || state[0].badInARow >= PATIENCE;
  if (finite(loss) && usual) {
    take(loss, bound);
  } else {
    leave();
  }
  state[0].loss = loss;
  if (settings.refreshes != 0u) {
    var base = settings.damping;
    if (settings.rule != FIXED) {
      base *= abs(state[0].mean);
      if (state[0].promisedSlope > 0.0) {
        base *= damping_share(state[0].gained / state[0].promisedSlope);
      }
    }
    if (settings.rule == RATIO) {
      // It begins where the running loss would have it.
      if (state[0].steeredDamping == 0.0 && state[0].seen > 0u) {
        state[0].steeredDamping = base;
      }
      base = state[0].steeredDamping;
    }
    state[0].lambda = clamp(base * state[0].boost, settings.leastDamping, settings.mostDamping);
  }
}
