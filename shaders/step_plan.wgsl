// How far a step goes: W ← W − V with V ← μV + ρU, ρ and μ from the quadratic model in the plane of U and V (Martens & Grosse
// 2015, section 7),
//
//     ρ = (V'CV ⟨G, U⟩ − U'CV ⟨G, V⟩) / (U'CU V'CV − (U'CV)²),   C = curvature + (λ + ω) I, ω of the penalty,
//
// corrected by what later batches say:
// - ρ is at most the harmonic running mean of ⟨G, U⟩ / U'CU: one flat batch cannot make a long step.
// - ρ is multiplied by s, the running share of the promised slope ⟨G, U⟩ that the next batch finds along U, the bend of the
//   step taken allowed for; but by no less than √(gain / CLEAR) in [LEAST, 1], the gain of steps being what the next batch
//   leaves of their promise (pieces/gain.wgsl).
// - μ is Σ (⟨G, V⟩ − ρ U'CV) / Σ V'CV over the last batches: V is older than G, so ⟨G, V⟩ is a slope on unseen data.
// - The model's change of the loss, ½ (ρU + μV)'C(ρU + μV), is kept below trust · the running loss,
//   times that share in [LEAST_TRUST, 1]. On a batch that was taken though its loss is unusual, where the curvature knows nothing
//   of such examples, so is half of the slope ρ⟨G, U⟩: a step cannot gain more than the loss there is.
// A fixed rate or momentum takes the place of its own; with a trust region, s times the running mean bounds a fixed rate as
// well. A batch that is not taken, or in a step that waits or whose inverses are of other data, gets coefficients of 0.
//
// Layout: of L layers, `sums` receives the 7 numbers a layer of pieces/step_totals.wgsl, of which one thread then makes the rest;
// behind them it holds the 2 × 2 forms U'CU, U'CV, V'CU, V'CV without λ, each in PARTS parts (that of V'CU is not read), then
// the parts of the sums. One workgroup.
// Dispatched by src/optimizers/control/control.ts.
//
// Written by `npm run shaders` from source/step_plan.wgsl.

struct LayerStep {
  flag: u32,
  ready: u32,
  words: u32,
  parts: u32,
  chunks: u32,
  slopes: u32,
  groups: u32,
}

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

struct AppliedStep {
  learningRate: f32,
  momentum: f32,
  verdict: u32,
  velocity: u32,
  good: u32,
  decay: f32,
}

struct Outcome {
  clip: f32,
  gradientSquared: f32,
  updateSquared: f32,
  skipped: u32,
  flags: u32,
  verdict: u32,
}

@group(0) @binding(0) var<storage, read> layers: array<LayerStep>;
@group(0) @binding(1) var<uniform> settings: ControlSettings;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<storage, read> flags: array<u32>;
@group(0) @binding(4) var<storage, read> ready: array<u32>;
@group(0) @binding(5) var<storage, read_write> state: array<StepState>;
@group(0) @binding(6) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(7) var<storage, read_write> applied: array<AppliedStep>;
@group(0) @binding(8) var<storage, read_write> outcome: array<Outcome>;

override THREADS: u32 = 64;
override PARTS: u32 = 1;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}
// Numbers that `sums` holds of a layer, and where: ⟨G, U⟩, ‖G‖², ‖U‖², ⟨G, V⟩, ⟨U, V⟩, ‖V‖², and ⟨G, U of the step before⟩.
const SUMS = 7u;
const INNER = 0u;
const GRADIENT = 1u;
const UPDATE = 2u;
const PREVIOUS = 6u;

// One of them, from the parts that step_sums.wgsl and step_gradient.wgsl left. Where U is G, the first three are ‖G‖².
fn total(layer: LayerStep, kind: u32) -> f32 {
  var at = layer.parts + kind;
  var step = 6u;
  var parts = layer.chunks;
  if (kind == PREVIOUS || layer.chunks == 0u) {
    at = layer.slopes + select(0u, 1u, kind == PREVIOUS);
    step = 2u;
    parts = layer.groups;
  }
  var sum = 0.0;
  for (var part = 0u; part < parts; part++) {
    sum += sums[at];
    at += step;
  }
  return sum;
}
// Whether a layer may step: its flag is 0 and its words of `ready` are all 1.
fn may_step(layer: LayerStep) -> bool {
  var ones = 0u;
  for (var word = 0u; word < layer.words; word++) {
    ones += select(0u, 1u, ready[layer.ready + word] == 1u);
  }
  return flags[layer.flag] == 0u && ones == layer.words;
}

// What became of a step over all layers; sums of those that may step.
fn counted() -> Outcome {
  var result = Outcome();
  for (var l = 0u; l < arrayLength(&layers); l++) {
    let layer = layers[l];
    if (may_step(layer)) {
      result.gradientSquared += sums[SUMS * l + GRADIENT];
      result.updateSquared += sums[SUMS * l + UPDATE];
    } else {
      result.skipped += 1u;
    }
    result.flags |= flags[layer.flag];
  }
  return result;
}
// What became of a step.
const TAKEN = 0u;
const HELD = 1u;
const RESTORED = 2u;
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

const LEAST_TRUST = 0.1;
const QUIET = 0.8;
const MEMORY = 0.95;
const SMOOTH = 0.9;
const LARGEST_MOMENTUM = 0.95;

var<workgroup> forms: array<vec3f, THREADS>;

fn leave(result: Outcome) {
  for (var l = 0u; l < arrayLength(&layers); l++) {
    coefficients[l] = 0.0;
  }
  outcome[0] = result;
  state[0].judgeable = 0u;
  state[0].predicted = 0.0;
  state[0].rate = 0.0;
  state[0].momentum = 0.0;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  // U'CU, U'CV and V'CV.
  var own = vec3f();
  for (var part = thread; part < PARTS; part += THREADS) {
    let at = SUMS * arrayLength(&layers) + part;
    own += vec3f(sums[at], sums[at + PARTS], sums[at + 3u * PARTS]);
  }
  forms[thread] = own;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      forms[thread] += forms[thread + half];
    }
    workgroupBarrier();
  }
  for (var task = thread; task < arrayLength(&layers) * SUMS; task += THREADS) {
    sums[task / SUMS * SUMS + task % SUMS] = total(layers[task / SUMS], task % SUMS);
  }
  storageBarrier();
  workgroupBarrier();
  if (thread != 0u) {
    return;
  }
  let count = arrayLength(&layers);
  var result = counted();
  result.verdict = state[0].verdict;
  var gu = 0.0;
  var gv = 0.0;
  var uv = 0.0;
  var vv = 0.0;
  var previous = 0.0;
  for (var l = 0u; l < count; l++) {
    let layer = layers[l];
    if (may_step(layer)) {
      gu += sums[SUMS * l + INNER];
      gv += sums[SUMS * l + 3u];
      uv += sums[SUMS * l + 4u];
      vv += sums[SUMS * l + 5u];
      previous += sums[SUMS * l + PREVIOUS];
    }
  }
  applied[0] = AppliedStep(1.0, 0.0, state[0].verdict, 1u, 1u, 0.0);
  if (state[0].verdict != TAKEN) {
    leave(result);
    return;
  }
  if (settings.waits != 0u || state[0].stale > 0u) {
    result.skipped = 0u;
    leave(result);
    return;
  }
  // Of the slope that the last direction promised on its own batch, how much is there on one that it has not seen?
  if (state[0].judgeable != 0u) {
    let share = (previous + state[0].bend) / state[0].slope;
    if (finite(share)) {
      state[0].slopeFound = MEMORY * state[0].slopeFound + (1.0 - MEMORY) * clamp(share, -10.0, 10.0);
      state[0].slopeCount = MEMORY * state[0].slopeCount + (1.0 - MEMORY);
    }
  }
  let ridge = state[0].lambda + settings.penalty;
  let form = forms[0];
  let cuu = form.x + ridge * result.updateSquared;
  let cuv = form.y + ridge * uv;
  let cvv = form.z + ridge * vv;
  let measured = settings.measures != 0u && finite(cuu) && finite(cuv) && finite(cvv) && finite(gu) && finite(gv);
  // And of what the step promised as a whole, by that batch's own slope and bend?
  let promise = state[0].promise;
  let gained = gain_above(gv, form.z + settings.penalty * vv, state[0].takenRate);
  if (state[0].judgeable != 0u && measured && finite(promise) && promise > 0.0 && finite(gained)) {
    state[0].promisedSlope = MEMORY * state[0].promisedSlope + (1.0 - MEMORY) * promise;
    state[0].gained = MEMORY * state[0].gained + (1.0 - MEMORY) * gained;
  }
  state[0].judgeable = 0u;
  var s = 1.0;
  var trust = 1.0;
  if (state[0].slopeCount > 0.0) {
    let share = state[0].slopeFound / state[0].slopeCount;
    var least = 1.0;
    if (state[0].promisedSlope > 0.0) {
      least = least_length(state[0].gained / state[0].promisedSlope);
    }
    s = clamp(share, least, 1.0);
    trust = clamp(share, LEAST_TRUST, 1.0);
  }
  var model = 0.0;
  if (measured && gu > 0.0 && cuu > 0.0) {
    model = gu / cuu;
    let det = cuu * cvv - cuv * cuv;
    if (cvv > 0.0 && det > 1e-6 * cuu * cvv) {
      let both = (cvv * gu - cuv * gv) / det;
      if (both > 0.0 && finite(both)) {
        model = both;
      }
    }
    let steepness = cuu / gu;
    if (finite(steepness)) {
      state[0].steepness = SMOOTH * state[0].steepness + (1.0 - SMOOTH) * steepness;
      state[0].steepnessCount = SMOOTH * state[0].steepnessCount + (1.0 - SMOOTH);
    }
  }
  var typical = 0.0;
  if (state[0].steepness > 0.0) {
    typical = state[0].steepnessCount / state[0].steepness;
  }
  // Not measured, or not over the layers that can step.
  if (settings.measures == 0u || (!measured && result.skipped > 0u)) {
    model = typical;
  }
  var rate = min(model, typical) * s;
  if (settings.learningRate > 0.0) {
    rate = settings.learningRate;
  }
  let eta = rate;
  // A rate that is set counts up to what the model allows.
  if (settings.trustRegion > 0.0 && typical > 0.0) {
    rate = min(rate, typical * s);
  }
  let bounded = measured && settings.trustRegion > 0.0 && state[0].mean > 0.0;
  let bound = trust * settings.trustRegion * state[0].mean;
  if (bounded && 0.5 * rate * rate * cuu > bound) {
    rate = sqrt(2.0 * bound / cuu);
  }
  if (bounded && state[0].tolerated != 0u && 0.5 * rate * gu > bound) {
    rate = 2.0 * bound / gu;
  }
  var momentum = state[0].lastMomentum;
  if (settings.momentum >= 0.0) {
    momentum = settings.momentum;
  } else if (measured && cvv > 0.0) {
    let keep = select(0.0, MEMORY, s < QUIET);
    let slope = keep * state[0].momentumSlope + (1.0 - keep) * (gv - rate * cuv);
    let curvature = keep * state[0].momentumCurvature + (1.0 - keep) * cvv;
    if (finite(slope) && finite(curvature) && curvature > 0.0) {
      state[0].momentumSlope = slope;
      state[0].momentumCurvature = curvature;
      momentum = clamp(slope / curvature, select(-LARGEST_MOMENTUM, 0.0, s < QUIET), LARGEST_MOMENTUM);
    }
  }
  if (vv == 0.0) {
    momentum = 0.0;
  }
  state[0].lastMomentum = momentum;
  result.clip = select(1.0, rate / eta, eta > rate);
  // The trust region, and the user's norm clip.
  if (bounded) {
    let size = 0.5 * (rate * rate * cuu + 2.0 * rate * momentum * cuv + momentum * momentum * cvv);
    if (!finite(size)) {
      result.clip = 0.0;
    } else if (size > bound) {
      let shorter = sqrt(bound / size);
      result.clip *= shorter;
      momentum *= shorter;
    }
  }
  if (settings.klClip > 0.0) {
    let norm = eta * eta * gu;
    if (!finite(norm)) {
      result.clip = 0.0;
    } else if (norm > settings.klClip) {
      result.clip = min(result.clip, sqrt(settings.klClip / norm));
    }
  }
  result.clip *= state[0].shrink;
  rate = eta * result.clip;
  if (!(finite(rate) && finite(momentum)) || result.clip == 0.0) {
    result.skipped = count;
    leave(result);
    return;
  }
  for (var l = 0u; l < count; l++) {
    coefficients[l] = select(0.0, rate, may_step(layers[l]));
  }
  applied[0].momentum = momentum;
  applied[0].decay = rate * settings.decoupled;
  state[0].predicted = 0.0;
  if (measured && result.skipped == 0u) {
    let square = rate * rate * cuu + 2.0 * rate * momentum * cuv + momentum * momentum * cvv;
    state[0].predicted = 0.5 * square - rate * gu - momentum * gv;
  }
  state[0].rate = eta;
  state[0].momentum = momentum;
  if (measured && gu > 0.0 && result.skipped == 0u) {
    state[0].judgeable = 1u;
    state[0].slope = gu;
    state[0].promise = rate * gu + momentum * gv;
    state[0].takenRate = rate;
    state[0].bend = rate * (form.x + settings.penalty * result.updateSquared) +
      momentum * (form.y + settings.penalty * uv);
  }
  outcome[0] = result;
}
