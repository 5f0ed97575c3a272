// A spectrum D, rows × cols, and what is done with it:
// - outer:    D[o, i] ← Σ_k max(left_k[o], 0) · max(right_k[i], 0) for one or two pairs of vectors
// - peak:     state[0] ← the largest element of D
// - divide:   out ← x / (D + λ), and 0 where D + λ is not above floor · peak
// - multiply: out ← x ∘ D
// - scale:    out ← x / √state[source], and 0 where that is not a positive number
//
// Layout: all matrices have the stride of D and no offset; left_k[o] is number o·leftStride of its buffer. A workgroup
// serves one row, except in peak. Dispatched by src/curvature/kernels/spectrum.ts.
//
// Written by `npm run shaders` from source/spectrum.wgsl.

struct SpectrumProblem {
  rows: u32,
  cols: u32,
  stride: u32,
  leftStride: u32,
  rightStride: u32,
  pairs: u32,
  source: u32,
  lambda: f32,
  floor: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<SpectrumProblem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
// outer reads (left 1, right 1, left 2, right 2) from x, d, state and second.
@group(0) @binding(5) var<storage, read> second: array<f32>;

override THREADS: u32 = 64;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}

fn positive(value: f32) -> bool {
  return value > 0.0 && finite(value);
}

@compute @workgroup_size(THREADS)
fn outer(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = id.x + id.y * count.x;
  if (o >= problems[0].rows) {
    return;
  }
  let left = o * problems[0].leftStride;
  for (var i = thread; i < problems[0].cols; i += THREADS) {
    let right = i * problems[0].rightStride;
    var value = max(x[left], 0.0) * max(d[right], 0.0);
    if (problems[0].pairs == 2u) {
      value += max(state[left], 0.0) * max(second[right], 0.0);
    }
    out[o * problems[0].stride + i] = value;
  }
}

@compute @workgroup_size(1)
fn peak() {
  var largest = 0.0;
  for (var o = 0u; o < problems[0].rows; o++) {
    for (var i = 0u; i < problems[0].cols; i++) {
      largest = max(largest, d[o * problems[0].stride + i]);
    }
  }
  out[0] = largest;
}

@compute @workgroup_size(THREADS)
fn divide(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = id.x + id.y * count.x;
  if (o >= problems[0].rows) {
    return;
  }
  let least = problems[0].floor * state[0];
  for (var i = thread; i < problems[0].cols; i += THREADS) {
    let at = o * problems[0].stride + i;
    let damped = d[at] + problems[0].lambda;
    out[at] = select(0.0, x[at] / damped, damped > least);
  }
}

@compute @workgroup_size(THREADS)
fn multiply(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = id.x + id.y * count.x;
  if (o >= problems[0].rows) {
    return;
  }
  for (var i = thread; i < problems[0].cols; i += THREADS) {
    let at = o * problems[0].stride + i;
    out[at] = x[at] * d[at];
  }
}

@compute @workgroup_size(THREADS)
fn scale(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = id.x + id.y * count.x;
  if (o >= problems[0].rows) {
    return;
  }
  let square = state[problems[0].source];
  let factor = select(0.0, inverseSqrt(square), positive(square));
  for (var i = thread; i < problems[0].cols; i += THREADS) {
    let at = o * problems[0].stride + i;
    out[at] = select(0.0, factor * x[at], factor > 0.0);
  }
}
