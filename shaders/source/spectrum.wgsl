// Spectra D, rows × cols, and what is done with them:
// - outer:    D[o, i] ← Σ_k max(left_k[o], 0) · max(right_k[i], 0) for one or two pairs of vectors
// - peak:     out[index] ← the largest element of D
// - divide:   out ← x / (D + λ); without λ, 0 where D is not above FLOOR · peak
// - multiply: out ← x ∘ D
// - scale:    out ← x / √state[index], and 0 where that is not a positive number
//
// Layout: offsets and strides in elements; left_k[o] is number leftOffset + o·leftStride of its buffer. λ is the problem's
// own or, where `stored` is 1, number lambdaIndex of `second`, times the problem's own; then the result is 0 as long as word
// readyIndex of it is 0.
// A workgroup serves one row, in peak one problem. Dispatched by src/curvature/kernels/spectrum.ts, many problems at once.

# bindings("curvature/kernels/spectrum", "spectrumLayout", {
#   second: "outer reads (left 1, right 1, left 2, right 2) from x, d, state and second, the last as f32.",
# });

override THREADS: u32 = 64;

// Share of the largest element of a spectrum below which rounding is all there is, where nothing damps it.
const FLOOR = 2e-6;

var<workgroup> largest: array<f32, THREADS>;

# include("positive");

fn problem_of(number: u32) -> u32 {
  # include("search_problem");
  return index;
}

@compute @workgroup_size(THREADS)
fn outer(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  let problem = problems[problem_of(number)];
  let o = number - problem.first;
  if (o >= problem.rows) {
    return;
  }
  let left = problem.leftOffset + o * problem.leftStride;
  for (var i = thread; i < problem.cols; i += THREADS) {
    let right = problem.rightOffset + i * problem.rightStride;
    var value = max(x[left], 0.0) * max(d[right], 0.0);
    if (problem.pairs == 2u) {
      value += max(state[left], 0.0) * max(bitcast<f32>(second[right]), 0.0);
    }
    out[problem.outOffset + o * problem.outStride + i] = value;
  }
}

@compute @workgroup_size(THREADS)
fn peak(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  let inside = number < arrayLength(&problems);
  var own = 0.0;
  if (inside) {
    let problem = problems[number];
    for (var o = 0u; o < problem.rows; o++) {
      for (var i = thread; i < problem.cols; i += THREADS) {
        own = max(own, d[problem.dOffset + o * problem.dStride + i]);
      }
    }
  }
  largest[thread] = own;
  workgroupBarrier();
  if (inside && thread == 0u) {
    var all = 0.0;
    for (var other = 0u; other < min(THREADS, problems[number].cols); other++) {
      all = max(all, largest[other]);
    }
    out[problems[number].index] = all;
  }
}

@compute @workgroup_size(THREADS)
fn divide(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  let problem = problems[problem_of(number)];
  let o = number - problem.first;
  if (o >= problem.rows) {
    return;
  }
  var lambda = problem.lambda;
  var ready = true;
  if (problem.stored == 1u) {
    lambda *= bitcast<f32>(second[problem.lambdaIndex]);
    ready = second[problem.readyIndex] != 0u;
  }
  let least = select(FLOOR * state[problem.index], 0.0, lambda > 0.0);
  for (var i = thread; i < problem.cols; i += THREADS) {
    let damped = d[problem.dOffset + o * problem.dStride + i] + lambda;
    let value = x[problem.xOffset + o * problem.xStride + i] / damped;
    out[problem.outOffset + o * problem.outStride + i] = select(0.0, value, ready && damped > least);
  }
}

@compute @workgroup_size(THREADS)
fn multiply(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  let problem = problems[problem_of(number)];
  let o = number - problem.first;
  if (o >= problem.rows) {
    return;
  }
  for (var i = thread; i < problem.cols; i += THREADS) {
    out[problem.outOffset + o * problem.outStride + i] =
      x[problem.xOffset + o * problem.xStride + i] * d[problem.dOffset + o * problem.dStride + i];
  }
}

@compute @workgroup_size(THREADS)
fn scale(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  let problem = problems[problem_of(number)];
  let o = number - problem.first;
  if (o >= problem.rows) {
    return;
  }
  let square = state[problem.index];
  let factor = select(0.0, inverseSqrt(square), positive(square));
  for (var i = thread; i < problem.cols; i += THREADS) {
    let value = factor * x[problem.xOffset + o * problem.xStride + i];
    out[problem.outOffset + o * problem.outStride + i] = select(0.0, value, factor > 0.0);
  }
}
