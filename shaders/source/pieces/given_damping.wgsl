# include("finite");

// λ: the block's own, or the number that the GPU keeps for it, which must not be negative.
fn given_damping(stored: u32, word: u32) -> f32 {
  if (stored == 0u) {
    return settings.damping;
  }
  let value = bitcast<f32>(words[word]);
  return select(settings.damping, value, finite(value) && value >= 0.0);
}
