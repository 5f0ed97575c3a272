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
