// How far a step may be shortened for noise: √(p / CLEAR) in [LEAST, 1], p what of a gradient is signal. Gradients of which a
// tenth or more is signal need no caution.
const LEAST = 0.5;
const CLEAR = 0.1;

fn least_share(fresh: f32, promised: f32) -> f32 {
  return clamp(sqrt(max(fresh / promised, 0.0) / CLEAR), LEAST, 1.0);
}
