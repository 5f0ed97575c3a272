// ν = min(1, √(κ / (η² Σ ⟨G, U⟩))) over the layers that may step: those whose G and U are finite and whose factors have
// an inverse. coefficients[l] ← ν for them and 0 for the others, which are counted. κ = 0 means no clip.
//
// Layout: sums holds ⟨G,U⟩, ‖G‖², ‖U‖² of each layer. One thread. Dispatched by src/optimizers/directions/kfac.ts.

# bindings("optimizers/directions/kfac", "kfacClipLayout");

fn may_step(layer: u32) -> bool {
  return flags[layer] == 0u && layers[layer].readyA == 1u && layers[layer].readyB == 1u;
}

@compute @workgroup_size(1)
fn main() {
  var result = Outcome();
  result.skippedTotal = outcome[0].skippedTotal;
  for (var layer = 0u; layer < arrayLength(&coefficients); layer++) {
    if (may_step(layer)) {
      result.inner += sums[3u * layer];
      result.gradientSquared += sums[3u * layer + 1u];
      result.updateSquared += sums[3u * layer + 2u];
    } else {
      result.skipped += 1u;
    }
  }
  result.clip = 1.0;
  let norm = settings.learningRate * settings.learningRate * result.inner;
  if (settings.klClip > 0.0 && norm > settings.klClip) {
    result.clip = sqrt(settings.klClip / norm);
  }
  for (var layer = 0u; layer < arrayLength(&coefficients); layer++) {
    coefficients[layer] = select(0.0, result.clip, may_step(layer));
  }
  result.skippedTotal += result.skipped;
  outcome[0] = result;
}
