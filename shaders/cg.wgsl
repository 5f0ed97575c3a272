// Conjugate gradients for (H + λI) x = g over rows × cols matrices, with every scalar on the GPU. The order of entry
// points, with H and the preconditioner M⁻¹ applied between them by others:
//   measure, rescale, start, (q ← H p with a warm start), load, open,
//   then for each iteration: (z ← M⁻¹ r, meet), turn, direction, (q ← H p), curve, stride, update, settle,
//   and at the end, if asked: start, (q ← H p), load, certify.
// r, p, q and z are scaled by the power of two s that brings the largest element of g to [1, 2), so that squares neither
// overflow nor vanish; x is not. Once the status is not RUNNING the entry points of an iteration change nothing.
// Sums go over chunks of CHUNK numbers first and over the chunks then, in a fixed order.
//
// Layout: offsets and strides in elements; r, p, q and z have one stride and no offset. words holds the residuals
// ‖r‖/‖g‖ of iterations 0 … budget, then the chunks' partial sums at `partials`, two to a chunk. Dispatched by
// src/linalg/cg.ts.
//
// Written by `npm run shaders` from source/cg.wgsl.

struct CgProblem {
  rows: u32,
  cols: u32,
  stride: u32,
  gOffset: u32,
  gStride: u32,
  xOffset: u32,
  xStride: u32,
  chunks: u32,
  partials: u32,
  // Half of THREADS: loops whose bounds a software adapter cannot see compile many times faster.
  half: u32,
  // 1 without a preconditioner: z is r.
  plain: u32,
  // 1 when x holds where to begin; `load` then takes q = H p off, with p = s x.
  warm: u32,
  damping: f32,
  tolerance: f32,
}

struct CgState {
  status: u32,
  iterations: u32,
  scale: f32,
  gg: f32,
  rr: f32,
  rz: f32,
  alpha: f32,
  beta: f32,
  certificate: f32,
  words: array<u32>,
}

@group(0) @binding(0) var<storage, read> problems: array<CgProblem>;
@group(0) @binding(1) var<storage, read_write> state: CgState;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> r: array<f32>;
@group(0) @binding(5) var<storage, read_write> p: array<f32>;
@group(0) @binding(6) var<storage, read> q: array<f32>;
@group(0) @binding(7) var<storage, read> z: array<f32>;

const THREADS = 64u;
const CHUNK = 1024u;

const RUNNING = 0u;
const CONVERGED = 1u;
const BREAKDOWN = 2u;
const NOT_FINITE = 3u;

var<workgroup> sums: array<vec2f, THREADS>;
var<workgroup> largest: array<u32, THREADS>;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}

// The bits of |value|: they order numbers by size, and those of infinity and NaN are above all others.
fn magnitude(value: f32) -> u32 {
  return bitcast<u32>(value) & 0x7fffffffu;
}

fn element(e: u32, offset: u32, stride: u32) -> u32 {
  let cols = problems[0].cols;
  return offset + (e / cols) * stride + e % cols;
}

fn end_of(chunk: u32) -> u32 {
  return min((chunk + 1u) * CHUNK, problems[0].rows * problems[0].cols);
}

// The sum over the workgroup's threads, in thread 0. All threads must call it.
fn gather(thread: u32, own: vec2f) -> vec2f {
  sums[thread] = own;
  workgroupBarrier();
  for (var half = problems[0].half; half > 0u; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
    workgroupBarrier();
  }
  return sums[0];
}

fn keep(chunk: u32, sum: vec2f) {
  if (chunk < problems[0].chunks) {
    let at = problems[0].partials + 2u * chunk;
    state.words[at] = bitcast<u32>(sum.x);
    state.words[at + 1u] = bitcast<u32>(sum.y);
  }
}

// The sum of all chunks, in thread 0 of the one workgroup.
fn total(thread: u32) -> vec2f {
  var sum = vec2f();
  for (var chunk = thread; chunk < problems[0].chunks; chunk += THREADS) {
    let at = problems[0].partials + 2u * chunk;
    sum += vec2f(bitcast<f32>(state.words[at]), bitcast<f32>(state.words[at + 1u]));
  }
  return gather(thread, sum);
}

// Largest |g| of each chunk, as bits: those of infinity and NaN are above all others.
@compute @workgroup_size(THREADS)
fn measure(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = end_of(chunk);
  var own = 0u;
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    own = max(own, magnitude(g[element(e, problems[0].gOffset, problems[0].gStride)]));
  }
  largest[thread] = own;
  workgroupBarrier();
  for (var half = problems[0].half; half > 0u; half /= 2u) {
    if (thread < half) {
      largest[thread] = max(largest[thread], largest[thread + half]);
    }
    workgroupBarrier();
  }
  if (thread == 0u && chunk < problems[0].chunks) {
    state.words[problems[0].partials + 2u * chunk] = largest[0];
  }
}

@compute @workgroup_size(1)
fn rescale() {
  var top = 0u;
  for (var chunk = 0u; chunk < problems[0].chunks; chunk++) {
    top = max(top, state.words[problems[0].partials + 2u * chunk]);
  }
  let exponent = top >> 23u;
  state.status = select(RUNNING, NOT_FINITE, exponent == 255u);
  state.iterations = 0u;
  let inverse = bitcast<f32>(clamp(254u - min(exponent, 254u), 1u, 253u) << 23u);
  state.scale = select(inverse, 1.0, top == 0u || exponent == 255u);
  state.gg = 0.0;
  state.rr = 0.0;
  state.rz = 0.0;
  state.alpha = 0.0;
  state.beta = 0.0;
  state.certificate = -1.0;
}

@compute @workgroup_size(THREADS)
fn start(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = end_of(chunk);
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, problems[0].xOffset, problems[0].xStride);
    let known = problems[0].warm == 1u && finite(x[at]) && finite(state.scale * x[at]);
    let value = select(0.0, x[at], known);
    x[at] = value;
    p[element(e, 0u, problems[0].stride)] = select(0.0, state.scale * value, known);
  }
}

// r ← s g − (H + λI) p.
@compute @workgroup_size(THREADS)
fn load(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = end_of(chunk);
  var sum = vec2f();
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, 0u, problems[0].stride);
    let target_ = state.scale * g[element(e, problems[0].gOffset, problems[0].gStride)];
    var rest = target_;
    if (problems[0].warm == 1u) {
      rest -= fma(problems[0].damping, p[at], q[at]);
    }
    r[at] = rest;
    sum += vec2f(rest * rest, target_ * target_);
  }
  keep(chunk, gather(thread, sum));
}

fn residual(rr: f32) -> f32 {
  return sqrt(rr / select(state.gg, 1.0, state.gg == 0.0));
}

// Writes the residual of the iteration that has ended.
fn judge(rr: f32) {
  state.rr = rr;
  if (!finite(rr)) {
    state.status = NOT_FINITE;
    return;
  }
  let value = residual(rr);
  state.words[state.iterations] = bitcast<u32>(value);
  if (value <= problems[0].tolerance) {
    state.status = CONVERGED;
  }
}

@compute @workgroup_size(THREADS)
fn open(@builtin(local_invocation_index) thread: u32) {
  let sum = total(thread);
  if (thread == 0u && state.status == RUNNING) {
    state.gg = sum.y;
    judge(sum.x);
  }
}

@compute @workgroup_size(THREADS)
fn meet(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = select(0u, end_of(chunk), state.status == RUNNING);
  var sum = 0.0;
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, 0u, problems[0].stride);
    sum = fma(r[at], z[at], sum);
  }
  keep(chunk, gather(thread, vec2f(sum, 0.0)));
}

// β = ⟨r, z⟩ / ⟨r, z⟩ of the iteration before.
@compute @workgroup_size(THREADS)
fn turn(@builtin(local_invocation_index) thread: u32) {
  let sum = total(thread);
  if (thread != 0u || state.status != RUNNING) {
    return;
  }
  let rz = select(sum.x, state.rr, problems[0].plain == 1u);
  let beta = select(rz / state.rz, 0.0, state.iterations == 0u);
  if (!finite(rz) || !finite(beta)) {
    state.status = NOT_FINITE;
  } else if (rz <= 0.0) {
    state.status = BREAKDOWN;
  } else {
    state.rz = rz;
    state.beta = beta;
  }
}

@compute @workgroup_size(THREADS)
fn direction(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = select(0u, end_of(chunk), state.status == RUNNING);
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, 0u, problems[0].stride);
    var steepest = 0.0;
    if (problems[0].plain == 1u) {
      steepest = r[at];
    } else {
      steepest = z[at];
    }
    p[at] = fma(state.beta, p[at], steepest);
  }
}

@compute @workgroup_size(THREADS)
fn curve(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = select(0u, end_of(chunk), state.status == RUNNING);
  var sum = 0.0;
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, 0u, problems[0].stride);
    sum = fma(p[at], fma(problems[0].damping, p[at], q[at]), sum);
  }
  keep(chunk, gather(thread, vec2f(sum, 0.0)));
}

// α = ⟨r, z⟩ / ⟨p, (H + λI) p⟩.
@compute @workgroup_size(THREADS)
fn stride(@builtin(local_invocation_index) thread: u32) {
  let sum = total(thread);
  if (thread != 0u || state.status != RUNNING) {
    return;
  }
  let alpha = state.rz / sum.x;
  if (!finite(sum.x)) {
    state.status = NOT_FINITE;
  } else if (sum.x <= 0.0 || !finite(alpha)) {
    state.status = BREAKDOWN;
  } else {
    state.alpha = alpha;
  }
}

@compute @workgroup_size(THREADS)
fn update(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = id.x + id.y * count.x;
  let end = select(0u, end_of(chunk), state.status == RUNNING);
  let alpha = state.alpha;
  let unscaled = alpha / state.scale;
  var sum = 0.0;
  for (var e = chunk * CHUNK + thread; e < end; e += THREADS) {
    let at = element(e, 0u, problems[0].stride);
    let own = element(e, problems[0].xOffset, problems[0].xStride);
    let next = fma(unscaled, p[at], x[own]);
    if (finite(next)) {
      x[own] = next;
    }
    let rest = fma(-alpha, fma(problems[0].damping, p[at], q[at]), r[at]);
    r[at] = rest;
    sum = fma(rest, rest, sum);
  }
  keep(chunk, gather(thread, vec2f(sum, 0.0)));
}

@compute @workgroup_size(THREADS)
fn settle(@builtin(local_invocation_index) thread: u32) {
  let sum = total(thread);
  if (thread == 0u && state.status == RUNNING) {
    state.iterations += 1u;
    judge(sum.x);
  }
}

// ‖g − (H + λI) x‖ / ‖g‖ as it really is.
@compute @workgroup_size(THREADS)
fn certify(@builtin(local_invocation_index) thread: u32) {
  let sum = total(thread);
  if (thread == 0u && finite(sum.x)) {
    state.certificate = residual(sum.x);
  }
}
