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

# bindings("optimizers/control/control", "stepPlanLayout");

override THREADS: u32 = 64;
override PARTS: u32 = 1;

# include("finite");
# include("step_totals");
# include("may_step");
# include("verdicts");
# include("gain");

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
  # include("tree", { shared: "forms", half: "THREADS / 2u", lane: "thread", join: "sum" });
  # include("total_sums", { kinds: "SUMS", threads: "THREADS" });
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
