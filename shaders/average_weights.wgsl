// A running mean of the weights (Polyak & Juditsky 1992), W̄ ← W̄ + (1 − β_t)(W − W̄), and its exchange with them. Two kernels:
//
// average  before a step changes the weights, which the batch's verdict has just found good: where that is not so, W̄ stays. With
//          β_t = 0, as in the first step, W̄ is W.
// swap     W ↔ W̄, bit for bit.
//
// Layout: W̄ is laid out like W, and all elements count, those between rows as well. `verdicts[settings.verdict]` is one of
// pieces/verdicts.wgsl. A thread serves every num_workgroups · THREADS-th element. Dispatched by src/optimizers/average.ts.
//
// Written by `npm run shaders` from source/average_weights.wgsl.

struct AverageSettings {
  keep: f32,
  length: u32,
  verdict: u32,
}

@group(0) @binding(0) var<uniform> settings: AverageSettings;
@group(0) @binding(1) var<storage, read> verdicts: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;

override THREADS: u32 = 64;

// What became of a step.
const TAKEN = 0u;
const HELD = 1u;
const RESTORED = 2u;

@compute @workgroup_size(THREADS)
fn average(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (verdicts[settings.verdict] != TAKEN && settings.keep > 0.0) {
    return;
  }
  let step = groups.x * groups.y * THREADS;
  for (var k = id.y * groups.x * THREADS + id.x; k < settings.length; k += step) {
    let old = mean[k];
    mean[k] = select(old + (1.0 - settings.keep) * (weights[k] - old), weights[k], settings.keep == 0.0);
  }
}

@compute @workgroup_size(THREADS)
fn swap(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * THREADS;
  for (var k = id.y * groups.x * THREADS + id.x; k < settings.length; k += step) {
    let w = weights[k];
    weights[k] = mean[k];
    mean[k] = w;
  }
}
