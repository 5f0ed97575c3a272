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
