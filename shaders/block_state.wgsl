// The state of blocks of curvature other than Kronecker products with split damping, kept on the GPU so that a step waits for
// nothing. Six kernels:
//
// weigh   before a batch's spectrum is blended in: (1 − β_t, β_t), β_t = min(1 − 1/t, β), t counting the batches in the
//         spectrum since its basis was renewed or the means started afresh; what it began with, the spectrum before or the Kronecker
//         product's own eigenvalues, is the first. Left out, with (0, 1), before there is a basis, and where the batch's numbers
//         are not finite.
// carry   before a new basis is adopted: (1, 0) where there is a spectrum to carry over into it, (0, 1) where it is the first.
// adopt   after a refresh: (1, 0) where a new basis replaces the old one, (0, 1) where the old one stays because numbers were
//         not finite or the rotations did not suffice. A factor that is not finite starts afresh. λ is noted as it is.
// fitted  after a fit to one batch: whether there is a fit, or the batch was left out; (0, 1) or (0, 0), to wipe it out.
// damped  after that fit was damped: λ, and whether it can be solved. Both leave 0 among the counts where it can, 1 elsewhere.
// note    before a solution that only divides, with a λ that the GPU keeps: λ as it is now counts at once.
//
// Layout: layers belongs to all blocks of a model, and entry says which one of it is a problem's; everything else is the
// block's own: number `layer` of flags, counts and scales, and the status words from word `status` on. Where `stored` is 1, λ is
// words[word]. A thread serves one problem. Dispatched by src/curvature/blocks/block-state.ts.
//
// Written by `npm run shaders` from source/block_state.wgsl.

struct BlockProblem {
  entry: u32,
  layer: u32,
  status: u32,
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

@group(0) @binding(0) var<storage, read> problems: array<BlockProblem>;
@group(0) @binding(1) var<uniform> settings: FactorSettings;
@group(0) @binding(2) var<storage, read> flags: array<u32>;
@group(0) @binding(3) var<storage, read> status: array<u32>;
@group(0) @binding(4) var<storage, read_write> layers: array<LayerState>;
@group(0) @binding(5) var<storage, read_write> counts: array<f32>;
@group(0) @binding(6) var<storage, read_write> scales: array<vec2f>;
@group(0) @binding(7) var<storage, read> words: array<u32>;

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

const NOT_FINITE = 2u;
// Not finite, not positive definite, or rotations that did not suffice.
const FAILED = 11u;
const SPECTRUM = 4u;
const LEFT_OUT = 8u;

@compute @workgroup_size(64)
fn weigh(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let bits = flags[problem.layer];
  // Its inputs and derivatives were finite, or it would have been counted already.
  if ((bits & ~LEFT_OUT) == SPECTRUM) {
    layers[problem.entry].skipped += 1u;
  }
  if (bits != 0u || counts[problem.layer] == 0.0) {
    scales[problem.layer] = vec2f(0.0, 1.0);
    return;
  }
  // The means have started afresh, and so does the spectrum.
  let afresh = layers[problem.entry].countA == 1u;
  let count = select(counts[problem.layer] + 1.0, 1.0, afresh);
  let beta = min(1.0 - 1.0 / count, settings.decay);
  counts[problem.layer] = count;
  scales[problem.layer] = vec2f(1.0 - beta, beta);
}

@compute @workgroup_size(64)
fn carry(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let layer = problems[id.x].layer;
  scales[layer] = select(vec2f(0.0, 1.0), vec2f(1.0, 0.0), counts[layer] > 0.0);
}

@compute @workgroup_size(64)
fn adopt(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let entry = problem.entry;
  scales[problem.layer] = vec2f(0.0, 1.0);
  if (layers[entry].countA == 0u || layers[entry].countB == 0u) {
    return;
  }
  let a = status[problem.status];
  let b = status[problem.status + 1u];
  layers[entry].lambda = given_damping(problem.stored, problem.word);
  layers[entry].pi = 1.0;
  layers[entry].statusA = a;
  layers[entry].statusB = b;
  if ((a & NOT_FINITE) != 0u) {
    layers[entry].countA = 0u;
  }
  if ((b & NOT_FINITE) != 0u) {
    layers[entry].countB = 0u;
  }
  if (((a | b) & FAILED) != 0u) {
    layers[entry].failures += 1u;
    return;
  }
  layers[entry].readyA = 1u;
  layers[entry].readyB = 1u;
  counts[problem.layer] = 1.0;
  scales[problem.layer] = vec2f(1.0, 0.0);
}

fn closed(entry: u32) -> f32 {
  return select(1.0, 0.0, layers[entry].readyA == 1u && layers[entry].readyB == 1u);
}

@compute @workgroup_size(64)
fn fitted(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let entry = problem.entry;
  let taken = select(0u, 1u, status[problem.status + 2u] == 0u);
  layers[entry].skipped += 1u - taken;
  layers[entry].countA = taken;
  layers[entry].countB = taken;
  layers[entry].readyA = taken;
  scales[problem.layer] = vec2f(0.0, f32(taken));
  let result = status[problem.status] | status[problem.status + 1u];
  if (taken == 1u && (result & FAILED) != 0u) {
    layers[entry].failures += 1u;
    layers[entry].readyA = 0u;
  }
  counts[problem.layer] = closed(entry);
}

@compute @workgroup_size(64)
fn damped(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let entry = problem.entry;
  if (layers[entry].readyA == 0u) {
    return;
  }
  let a = status[problem.status];
  let b = status[problem.status + 1u];
  layers[entry].lambda = given_damping(problem.stored, problem.word);
  layers[entry].pi = 1.0;
  layers[entry].statusA = a;
  layers[entry].statusB = b;
  layers[entry].readyB = 1u;
  if (((a | b) & FAILED) != 0u) {
    layers[entry].failures += 1u;
    layers[entry].readyB = 0u;
  }
  counts[problem.layer] = closed(entry);
}

@compute @workgroup_size(64)
fn note(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  if (layers[problem.entry].readyA == 1u && layers[problem.entry].readyB == 1u) {
    layers[problem.entry].lambda = given_damping(problem.stored, problem.word);
  }
}
