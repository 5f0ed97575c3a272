// A spectrum D, rows × cols, and what is done with it:
// - outer:    D[o, i] ← Σ_k max(left_k[o], 0) · max(right_k[i], 0) for one or two pairs of vectors
// - peak:     state[0] ← the largest element of D
// - divide:   out ← x / (D + λ), and 0 where D + λ is not above floor · peak
// - multiply: out ← x ∘ D
// - scale:    out ← x / √state[source], and 0 where that is not a positive number
//
// Layout: all matrices have the stride of D and no offset; left_k[o] is number o·leftStride of its buffer. A workgroup
// serves one row, except in peak. Dispatched by src/curvature/kernels/spectrum.ts.

# bindings("curvature/kernels/spectrum", "spectrumLayout", {
#   second: "outer reads (left 1, right 1, left 2, right 2) from x, d, state and second.",
# });

override THREADS: u32 = 64;

# include("positive");

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
