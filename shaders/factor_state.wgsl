// The state of K-FAC's factors, kept on the GPU so that a step waits for nothing. A thread serves one layer of a block,
// or leaves it alone where `serves` is 0. Three kernels:
//
// average  before the Gram matrices: (α, β) of each factor's moving mean, β_t = min(1 − 1/t, β), t counting the
//          batches taken; a batch with numbers that are not finite is left out (α = 0, β = 1) and counted. Where the
//          problems' word is 1, all are left out, and their flags say so; where it is 2, the means start afresh with this batch.
// damp     before the inversions, at the problem's place: π² = (tr Ā / in) / (tr B̄ / out); Ā gets π√λ', B̄ gets √λ'/π, λ' = λ · boost. While a
//          factor is not finite π stays what it was, to fit the inverse that is kept. A layer without data in one of
//          its means is marked, so that its inverses stay as they are. Where `whole` is 1 the layer has one matrix, which gets λ'.
// settle   after them: a factor that failed keeps its inverse, boosts λ tenfold for the next refresh, and starts
//          afresh if it holds numbers that are not finite; otherwise the boost falls back by √10. A layer without
//          data is left alone: nothing was tried.
//
// Layout: words[word] is a number from elsewhere where `stored` is 1: in damp λ itself, in average whether to take nothing in.
// layers belongs to all blocks of a model, and entry says which one of it is a problem's; everything else is the
// block's own, one for each of its layers in their order. Martens & Grosse 2015, sections 5 and 6.3. Dispatched by
// src/curvature/blocks/factor-state.ts.
//
// Written by `npm run shaders` from source/factor_state.wgsl.

struct LayerProblem {
  alphaA: f32,
  alphaB: f32,
  sizeA: f32,
  sizeB: f32,
  serves: u32,
  whole: u32,
  entry: u32,
  place: u32,
  word: u32,
  stored: u32,
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

@group(0) @binding(0) var<storage, read> problems: array<LayerProblem>;
@group(0) @binding(1) var<uniform> settings: FactorSettings;
@group(0) @binding(2) var<storage, read> traces: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> flags: array<u32>;
@group(0) @binding(4) var<storage, read_write> layers: array<LayerState>;
@group(0) @binding(5) var<storage, read_write> scales: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dampings: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> status: array<vec2u>;
@group(0) @binding(8) var<storage, read> words: array<u32>;

const FAILED = 3u;
const NOT_POSITIVE = 1u;
const NOT_FINITE = 2u;
const LARGEST_BOOST = 1e8;
// In the flags of a layer: its batch was to be left out.
const LEFT_OUT = 8u;
// The means forget what they have taken in.
const AFRESH = 2u;

// (α, β) of a moving mean that has taken `count` batches with this one.
fn moving(alpha: f32, count: u32) -> vec2f {
  let beta = min(1.0 - 1.0 / f32(count), settings.decay);
  return vec2f(alpha * (1.0 - beta), beta);
}

@compute @workgroup_size(64)
fn average(@builtin(global_invocation_id) id: vec3u) {
  let index = id.x;
  if (index >= arrayLength(&problems) || problems[index].serves == 0u) {
    return;
  }
  let entry = problems[index].entry;
  if (flags[index] != 0u) {
    layers[entry].skipped += 1u;
    scales[index] = vec4f(0.0, 1.0, 0.0, 1.0);
    return;
  }
  if (problems[index].stored == 1u) {
    let word = words[problems[index].word];
    if (word == AFRESH) {
      layers[entry].countA = 0u;
      layers[entry].countB = 0u;
    } else if (word != 0u) {
      flags[index] = LEFT_OUT;
      scales[index] = vec4f(0.0, 1.0, 0.0, 1.0);
      return;
    }
  }
  layers[entry].countA += 1u;
  layers[entry].countB += 1u;
  let a = moving(problems[index].alphaA, layers[entry].countA);
  let b = moving(problems[index].alphaB, layers[entry].countB);
  scales[index] = vec4f(a, b);
}

fn empty(entry: u32) -> bool {
  return layers[entry].countA == 0u || layers[entry].countB == 0u;
}

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
  let index = id.x;
  if (index >= arrayLength(&problems) || problems[index].serves == 0u) {
    return;
  }
  let entry = problems[index].entry;
  let place = problems[index].place;
  if (empty(entry)) {
    status[place] = vec2u(NOT_POSITIVE);
    return;
  }
  let lambda = given_damping(problems[index].stored, problems[index].word) * layers[entry].boost;
  layers[entry].lambda = lambda;
  status[place] = vec2u();
  if (problems[index].whole == 1u) {
    layers[entry].pi = 1.0;
    dampings[place] = vec2f(lambda);
    return;
  }
  let a = traces[index].x / problems[index].sizeA;
  let b = traces[index].y / problems[index].sizeB;
  let pi = split(a, b, layers[entry].pi);
  layers[entry].pi = pi;
  dampings[place] = vec2f(pi, 1.0 / pi) * sqrt(lambda);
}

@compute @workgroup_size(64)
fn settle(@builtin(global_invocation_id) id: vec3u) {
  let index = id.x;
  if (index >= arrayLength(&problems) || problems[index].serves == 0u) {
    return;
  }
  let entry = problems[index].entry;
  if (empty(entry)) {
    return;
  }
  let result = status[problems[index].place];
  layers[entry].statusA = result.x;
  layers[entry].statusB = result.y;
  if ((result.x & FAILED) == 0u) {
    layers[entry].readyA = 1u;
  }
  if ((result.y & FAILED) == 0u) {
    layers[entry].readyB = 1u;
  }
  if ((result.x & NOT_FINITE) != 0u) {
    layers[entry].countA = 0u;
  }
  if ((result.y & NOT_FINITE) != 0u) {
    layers[entry].countB = 0u;
  }
  if (((result.x | result.y) & FAILED) != 0u) {
    layers[entry].failures += 1u;
    layers[entry].boost = min(layers[entry].boost * 10.0, LARGEST_BOOST);
  } else {
    layers[entry].boost = max(layers[entry].boost * 0.316227766, 1.0);
  }
}
