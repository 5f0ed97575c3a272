// What the next batch leaves of a step's promise decides how careful steps are. The gain of a step is how far the loss fell along
// V by that batch, ⟨G, V⟩ + ½ V'CV with V'CV its own, over the slope that the step's batch promised, each a running mean. It is 0
// where steps only undo the noise of those before, as they do round a minimum: there they have to become shorter.
// Steps may be shortened down to √(gain / CLEAR) in [LEAST, 1]; of λ's share of the loss goes PLAIN / gain in [LEAST_SHARE, 1].
const LEAST = 1.0 / 3.0;
const CLEAR = 0.03;
const LEAST_SHARE = 0.25;
const PLAIN = 0.025;

fn least_length(gain: f32) -> f32 {
  return clamp(sqrt(max(gain, 0.0) / CLEAR), LEAST, 1.0);
}

fn damping_share(gain: f32) -> f32 {
  return clamp(PLAIN / max(gain, PLAIN), LEAST_SHARE, 1.0);
}
