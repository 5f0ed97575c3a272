// Levenberg–Marquardt's rule for λ (Martens & Grosse 2015, section 6.5): the reduction ratio is the change of the loss of the
// batch just used, measured again after the step, over the change that its quadratic model predicted. Above 3/4 the model
// can be trusted further, and λ falls by DECAY to the power of `every`, the steps between two looks; below 1/4, or where the
// loss is not finite, it rises as much.
//
// One thread. Dispatched by src/optimizers/control/control.ts at the end of a step.

# bindings("optimizers/control/control", "stepRatioLayout");

# include("finite");
# include("verdicts");

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
