// Small steps on the factors X (first pair) and Y (second pair) of A₁ ⊗ B₁ + A₂ ⊗ B₂, one side at a time, n × n each:
// - split:    out[0] ← π√λ, out[1] ← √λ/π from the traces of the second pair, π² = (tr A₂ / in) / (tr B₂ / out)
// - combine:  out ← X/tr X + (Y + y I)/tr(Y + y I), damped ← Y + y I, with y the side's part of λ
// - whiten:   out ← V diag(values)^-½, a zero column where the value is only rounding
// - separate: out[j, j] ← −tr X for those columns, which moves them away from the others
// A trace that is zero, negative or not finite makes π 1, or leaves its term out.
//
// Layout: λ is the problem's own or, in split and combine where `stored` is 1, values[word] where that can be. traces holds tr A₁, tr B₁, tr A₂, tr B₂; side is 0 for A and 1 for B. Matrices have one stride and no offset.
// A workgroup serves one row. Dispatched by src/curvature/kernels/kronecker-pair.ts.

# bindings("curvature/kernels/kronecker-pair", "pairLayout");

override THREADS: u32 = 64;

# include("positive");

// (π√λ, √λ/π).
fn parts() -> vec2f {
  let ratio = (traces[2] / problems[0].sizeA) / (traces[3] / problems[0].sizeB);
  var p = 1.0;
  if (positive(traces[2]) && positive(traces[3]) && positive(ratio)) {
    p = sqrt(ratio);
  }
  var lambda = problems[0].lambda;
  if (problems[0].stored == 1u) {
    let value = values[problems[0].word];
    lambda = select(lambda, value, finite(value) && value >= 0.0);
  }
  let root = sqrt(lambda);
  return vec2f(p * root, root / p);
}

fn kept(j: u32) -> bool {
  return values[j] > problems[0].floor * max(values[problems[0].n - 1u], 0.0);
}

@compute @workgroup_size(1)
fn split() {
  let both = parts();
  out[0] = both.x;
  out[1] = both.y;
}

@compute @workgroup_size(THREADS)
fn combine(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = id.x;
  let both = parts();
  let own = select(both.x, both.y, problems[0].side == 1u);
  let traceX = traces[problems[0].side];
  let traceY = traces[2u + problems[0].side] + f32(problems[0].n) * own;
  for (var j = thread; j < problems[0].n; j += THREADS) {
    let at = i * problems[0].stride + j;
    let second = y[at] + select(0.0, own, i == j);
    var sum = 0.0;
    if (positive(traceX)) {
      sum += x[at] / traceX;
    }
    if (positive(traceY)) {
      sum += second / traceY;
    }
    out[at] = sum;
    damped[at] = second;
  }
}

@compute @workgroup_size(THREADS)
fn whiten(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  for (var j = thread; j < problems[0].n; j += THREADS) {
    let at = id.x * problems[0].stride + j;
    out[at] = select(0.0, x[at] * inverseSqrt(max(values[j], 1e-37)), kept(j));
  }
}

@compute @workgroup_size(THREADS)
fn separate(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (thread == 0u && !kept(id.x)) {
    let trace = traces[problems[0].side];
    out[id.x * (problems[0].stride + 1u)] = -select(1.0, trace, positive(trace));
  }
}
