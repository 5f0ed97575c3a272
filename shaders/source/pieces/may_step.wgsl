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
