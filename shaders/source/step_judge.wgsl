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

# bindings("optimizers/control/control", "stepJudgeLayout");

# include("finite");
# include("verdicts");
# include("damping_rules");
# include("gain");

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
