// ν = min(1, √(κ / (η² Σ ⟨G, U⟩))) over the layers that may step: those whose flag is 0 and whose words of `ready` are all 1.
// coefficients[l] ← ν for them and 0 for the others, which are counted. κ = 0 means no clip. Where the clip's sum is not
// finite, so that there is no telling how long the step is, ν is 0 and all are counted. `applied` receives η, μ and ηω.
//
// Layout: a row of `layers` says where a layer's flag, its words and the parts of its sums are. `sums` receives ⟨G, U⟩, ‖G‖² and
// ‖U‖² of each, of which one thread then makes the rest. One workgroup. Dispatched by src/optimizers/tail.ts; optimisers that are
// controlled on the GPU have step_plan.wgsl in its place.
//
// Written by `npm run shaders` from source/step_coefficients.wgsl.

struct LayerStep {
  flag: u32,
  ready: u32,
  words: u32,
  parts: u32,
  chunks: u32,
  slopes: u32,
  groups: u32,
}

struct StepSettings {
  learningRate: f32,
  momentum: f32,
  penalty: f32,
  decoupled: f32,
  gradientClip: f32,
  klClip: f32,
  velocity: u32,
}

struct AppliedStep {
  learningRate: f32,
  momentum: f32,
  verdict: u32,
  velocity: u32,
  good: u32,
  decay: f32,
}

struct Outcome {
  clip: f32,
  gradientSquared: f32,
  updateSquared: f32,
  skipped: u32,
  flags: u32,
  verdict: u32,
}

@group(0) @binding(0) var<storage, read> layers: array<LayerStep>;
@group(0) @binding(1) var<uniform> settings: StepSettings;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<storage, read> flags: array<u32>;
@group(0) @binding(4) var<storage, read> ready: array<u32>;
@group(0) @binding(5) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(6) var<storage, read_write> applied: array<AppliedStep>;
@group(0) @binding(7) var<storage, read_write> outcome: array<Outcome>;

override THREADS: u32 = 64;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}
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
// What became of a step.
const TAKEN = 0u;
const HELD = 1u;
const RESTORED = 2u;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  for (var task = thread; task < arrayLength(&layers) * 3u; task += THREADS) {
    sums[task / 3u * SUMS + task % 3u] = total(layers[task / 3u], task % 3u);
  }
  storageBarrier();
  workgroupBarrier();
  if (thread != 0u) {
    return;
  }
  var result = counted();
  var inner = 0.0;
  for (var l = 0u; l < arrayLength(&layers); l++) {
    if (may_step(layers[l])) {
      inner += sums[SUMS * l + INNER];
    }
  }
  result.clip = 1.0;
  if (settings.klClip > 0.0) {
    let norm = settings.learningRate * settings.learningRate * inner;
    if (!finite(norm)) {
      result.clip = 0.0;
      result.skipped = arrayLength(&layers);
    } else if (norm > settings.klClip) {
      result.clip = sqrt(settings.klClip / norm);
    }
  }
  for (var l = 0u; l < arrayLength(&layers); l++) {
    coefficients[l] = select(0.0, result.clip, may_step(layers[l]));
  }
  outcome[0] = result;
  applied[0] = AppliedStep(
    settings.learningRate,
    settings.momentum,
    TAKEN,
    settings.velocity,
    0u,
    settings.learningRate * settings.decoupled,
  );
}
