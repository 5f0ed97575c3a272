// The quadratic forms of two directions D, V in the curvature of a batch: with y_l[d, k] the derivative of layer l's weights
// along direction d seen by curvature column k, results ← α Σ_k y_D y_D, α Σ_k y_D y_V twice, α Σ_k y_V y_V, where
// y_d[k] = Σ_l y_l[d, k]. With exact columns that is D'GD of the generalised Gauss-Newton matrix G over the whole
// network, blocks between layers counted (Martens & Grosse 2015, section 7); with Monte-Carlo columns an unbiased estimate.
//
// Layout: y_l[d, k] is number (d · layers + l) · columns + k. One workgroup, summed in a fixed order. Dispatched by
// src/optimizers/control/forms.ts.
//
// Written by `npm run shaders` from source/step_forms.wgsl.

struct FormsProblem {
  layers: u32,
  columns: u32,
  result: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<FormsProblem>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

override THREADS: u32 = 256;

var<workgroup> dd: array<f32, THREADS>;
var<workgroup> dv: array<f32, THREADS>;
var<workgroup> vv: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let problem = problems[0];
  var sums = vec3f();
  for (var k = thread; k < problem.columns; k += THREADS) {
    var d = 0.0;
    var v = 0.0;
    for (var l = 0u; l < problem.layers; l++) {
      d += y[l * problem.columns + k];
      v += y[(problem.layers + l) * problem.columns + k];
    }
    sums += vec3f(d * d, d * v, v * v);
  }
  dd[thread] = sums.x;
  dv[thread] = sums.y;
  vv[thread] = sums.z;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      dd[thread] += dd[thread + half];
    }
    workgroupBarrier();
  }
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      dv[thread] += dv[thread + half];
    }
    workgroupBarrier();
  }
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      vv[thread] += vv[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    results[problem.result] = problem.scale * dd[0];
    results[problem.result + 1u] = problem.scale * dv[0];
    results[problem.result + 2u] = problem.scale * dv[0];
    results[problem.result + 3u] = problem.scale * vv[0];
  }
}
