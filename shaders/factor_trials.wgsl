// Trial dampings of K-FAC's factors, beside the block's own (factor_state): what λ is judged by. Two kernels:
//
// damp   before the inversions: as factor_state's, with λ times the problem's multiplier and the layer's boost; what a layer keeps
//        is read and left as it is.
// judge  after them: outcome[trial] gets the bits of the layers that have no inverse.
//
// Layout: a problem of damp is a trial and a layer, number `index` of the block, one of judge a trial, number `index`, whose
// `layers` pairs of status words begin at `place`.
// A thread serves one problem. Dispatched by src/curvature/blocks/factor-trials.ts.
//
// Written by `npm run shaders` from source/factor_trials.wgsl.

struct TrialProblem {
  index: u32,
  entry: u32,
  place: u32,
  layers: u32,
  word: u32,
  stored: u32,
  multiplier: f32,
  sizeA: f32,
  sizeB: f32,
}

struct FactorSettings {
  damping: f32,
  decay: f32,
}

struct LayerState {
  countA: u32,
  countB: u32,
  readyA: u32,
  readyB: u32,
  statusA: u32,
  statusB: u32,
  failures: u32,
  skipped: u32,
  boost: f32,
  lambda: f32,
  pi: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<TrialProblem>;
@group(0) @binding(1) var<uniform> settings: FactorSettings;
@group(0) @binding(2) var<storage, read> traces: array<vec2f>;
@group(0) @binding(3) var<storage, read> layers: array<LayerState>;
@group(0) @binding(4) var<storage, read> words: array<u32>;
@group(0) @binding(5) var<storage, read_write> dampings: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> status: array<vec2u>;
@group(0) @binding(7) var<storage, read_write> outcome: array<u32>;

const FAILED = 3u;
const NOT_POSITIVE = 1u;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}

// λ: the block's own, or the number that the GPU keeps for it, which must not be negative.
fn given_damping(stored: u32, word: u32) -> f32 {
  if (stored == 0u) {
    return settings.damping;
  }
  let value = bitcast<f32>(words[word]);
  return select(settings.damping, value, finite(value) && value >= 0.0);
}
const SMALLEST_NORMAL = 1.17549435e-38;

fn usable(trace: f32) -> bool {
  return finite(trace) && trace >= SMALLEST_NORMAL;
}
// π = √a / √b from the mean eigenvalues of the two factors; what it was where one of them is not finite, to fit the inverse that
// is kept, and 1 where it cannot be had.
fn split(a: f32, b: f32, before: f32) -> f32 {
  if (usable(a) && usable(b)) {
    return sqrt(a) / sqrt(b);
  }
  return select(1.0, before, !(finite(a) && finite(b)) && before > 0.0);
}

@compute @workgroup_size(64)
fn damp(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let layer = layers[problem.entry];
  if (layer.countA == 0u || layer.countB == 0u) {
    status[problem.place] = vec2u(NOT_POSITIVE);
    return;
  }
  let lambda = given_damping(problem.stored, problem.word) * problem.multiplier * layer.boost;
  let pi = split(traces[problem.index].x / problem.sizeA, traces[problem.index].y / problem.sizeB, layer.pi);
  dampings[problem.place] = vec2f(pi, 1.0 / pi) * sqrt(lambda);
  status[problem.place] = vec2u();
}

@compute @workgroup_size(64)
fn judge(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  var bits = 0u;
  for (var l = 0u; l < problem.layers; l++) {
    let word = status[problem.place + l];
    bits |= word.x | word.y;
  }
  outcome[problem.index] |= bits & FAILED;
}
