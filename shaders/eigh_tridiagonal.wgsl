// T = Q'EQ, tridiagonal: Householder reflections H_k = I − β_k u_k u_k' from both sides, Q = H_0 H_1 … In step k
//   x ← column k of E, u ← its part below the diagonal, u_(k+1) += sign(u_(k+1)) ‖u‖, β ← 2 / u'u,
//   p ← β E u, w ← p − ½ β (u'p) u,
// and E ← E − u w' − w u' waits for step k + 1, which reads E once: it subtracts, stores and multiplies by its own u.
// β comes from the u that is stored, and root and quotient are corrected by their residuals: H_k is orthogonal to rounding, and
// e_k right to rounding, though an adapter's own may have errors of some units in the last place.
//
// Layout: E size × size in vec4f, symmetric, zero beyond n; it is used up. Row k + 1 of the reflectors ((n + 1) × size) is
// u_k, valid from the vec4f of its first number on. tridiagonal holds size numbers each of d (the diagonal), e (below it)
// and β, at 3 · vectorOffset. update is w, twice size. Offsets in f32. Dispatched by src/linalg/eigh.ts: one workgroup a
// matrix, since every step waits for the last; a thread owns four columns at a time.
//
// Written by `npm run shaders` from source/eigh_tridiagonal.wgsl.

struct EighProblem {
  first: u32,
  n: u32,
  size: u32,
  offset: u32,
  stride: u32,
  matrixOffset: u32,
  reflectorOffset: u32,
  vectorOffset: u32,
  rotationOffset: u32,
  capacity: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<EighProblem>;
@group(0) @binding(1) var<storage, read_write> work: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> reflectors: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> update: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> tridiagonal: array<f32>;

override THREADS: u32 = 64;
// A column whose part below the subdiagonal is this small (squared; E is about 1) is taken as zero there.
const NEGLIGIBLE = 1e-26;

var<workgroup> addends: array<f32, THREADS>;
var<workgroup> head: f32;

// Σ over the first `count` threads, in a fixed order; for all of them.
fn total(thread: u32, value: f32, count: u32) -> f32 {
  addends[thread] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var other = 0u; other < count; other++) {
    sum += addends[other];
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = id.x + id.y * count.x;
  if (number >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[number];
  let n = problem.n;
  let groups = problem.size / 4u;
  let busy = min(groups, THREADS);
  let e = problem.matrixOffset / 4u;
  let t = 3u * problem.vectorOffset;
  var uOld = problem.reflectorOffset / 4u;
  var wOld = problem.vectorOffset / 2u;
  var wNew = wOld + groups;
  for (var g = thread; g < groups; g += THREADS) {
    reflectors[uOld + g] = vec4f();
    update[wOld + g] = vec4f();
  }
  storageBarrier();

  for (var k = 0u; k < n; k++) {
    let u = uOld + groups;
    let below = k + 1u;
    let column = k / 4u;
    let start = below / 4u;

    // Column k as the waiting update leaves it: its diagonal number, the one below, and the tail.
    let uk = reflectors[uOld + column][k % 4u];
    let wk = update[wOld + column][k % 4u];
    var squares = 0.0;
    for (var g = column + thread; g < groups; g += THREADS) {
      let x = work[e + k * groups + g] - reflectors[uOld + g] * wk - update[wOld + g] * uk;
      let row = vec4u(4u * g) + vec4u(0u, 1u, 2u, 3u);
      let tail = select(vec4f(), x, row > vec4u(below));
      reflectors[u + g] = tail;
      squares += dot(tail, tail);
      if (g == column) {
        tridiagonal[t + k] = x[k % 4u];
      }
      if (g == start) {
        head = x[below % 4u];
      }
    }
    squares = total(thread, squares, busy);
    let first = head;
    var subdiagonal = first;
    var pivot = 0.0;
    var beta = 0.0;
    if (squares > NEGLIGIBLE) {
      let whole = fma(first, first, squares);
      let root = sqrt(whole);
      let norm = fma(fma(-root, root, whole), 0.5 / root, root);
      subdiagonal = select(norm, -norm, first >= 0.0);
      pivot = first - subdiagonal;
      let length = fma(pivot, pivot, squares);
      let quotient = 2.0 / length;
      beta = fma(0.5 * fma(-length, quotient, 2.0), quotient, quotient);
    }
    if (start < groups && thread == (start - column) % THREADS) {
      let row = vec4u(4u * start) + vec4u(0u, 1u, 2u, 3u);
      reflectors[u + start] = select(reflectors[u + start], vec4f(pivot), row == vec4u(below));
    }
    if (thread == 0u) {
      tridiagonal[t + problem.size + k] = subdiagonal;
      tridiagonal[t + 2u * problem.size + k] = beta;
    }
    storageBarrier();

    // E ← E − u w' − w u' of the last step, and p ← β E u of this one, in one pass.
    var product = 0.0;
    for (var g = start + thread; g < groups; g += THREADS) {
      let ug = reflectors[uOld + g];
      let wg = update[wOld + g];
      var p = vec4f();
      var at = e + 4u * start * groups + g;
      for (var h = start; h < groups; h++) {
        let uh = reflectors[uOld + h];
        let wh = update[wOld + h];
        let vh = reflectors[u + h];
        var e0 = work[at];
        var e1 = work[at + groups];
        var e2 = work[at + 2u * groups];
        var e3 = work[at + 3u * groups];
        e0 = fma(vec4f(-uh.x), wg, fma(vec4f(-wh.x), ug, e0));
        e1 = fma(vec4f(-uh.y), wg, fma(vec4f(-wh.y), ug, e1));
        e2 = fma(vec4f(-uh.z), wg, fma(vec4f(-wh.z), ug, e2));
        e3 = fma(vec4f(-uh.w), wg, fma(vec4f(-wh.w), ug, e3));
        work[at] = e0;
        work[at + groups] = e1;
        work[at + 2u * groups] = e2;
        work[at + 3u * groups] = e3;
        p = fma(vec4f(vh.x), e0, p);
        p = fma(vec4f(vh.y), e1, p);
        p = fma(vec4f(vh.z), e2, p);
        p = fma(vec4f(vh.w), e3, p);
        at += 4u * groups;
      }
      p *= beta;
      update[wNew + g] = p;
      product += dot(p, reflectors[u + g]);
    }
    let factor = 0.5 * beta * total(thread, product, busy);
    for (var g = start + thread; g < groups; g += THREADS) {
      update[wNew + g] -= factor * reflectors[u + g];
    }
    storageBarrier();
    uOld = u;
    let other = wOld;
    wOld = wNew;
    wNew = other;
  }
}
