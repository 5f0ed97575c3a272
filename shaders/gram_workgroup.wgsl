// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
// For GPUs: a workgroup computes a tile of 8·THREADS × 8·THREADS numbers, and its threads bring the numbers of A that it
// takes to workgroup memory together. A thread computes 8 × 8 numbers in registers, four 4 × 4 blocks that lie 4·THREADS
// apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// src/linalg/products/gram.ts, many problems at once.
//
// Written by `npm run shaders` from source/gram.wgsl.

struct GramProblem {
  first: u32,
  tileCols: u32,
  d: u32,
  k: u32,
  aOffset: u32,
  aStride: u32,
  sOffset: u32,
  sStride: u32,
  scale: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<GramProblem>;
@group(0) @binding(1) var<storage, read> scales: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> s: array<vec4f>;

// Along each side of a workgroup; at most 16, as workgroup memory is no larger.
override THREADS: u32 = 8;
// Rows of A in workgroup memory at a time.
const DEPTH = 8u;

// Two sets of rows, used in turns, so that a step needs one barrier: a thread may fill one while others read the other.
// aRows holds what becomes the rows of the tile, bRows what becomes its columns.
var<workgroup> aRows: array<vec4f, 4 * DEPTH * THREADS>;
var<workgroup> bRows: array<vec4f, 4 * DEPTH * THREADS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn load(at: u32, live: bool) -> vec4f {
  if (live) {
    return a[at];
  }
  return vec4f();
}

// Writes the thread's part of a tile, the first of its four blocks at (row, column).
fn store(index: u32, row: u32, column: u32, values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  let end = 16u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 4u * THREADS + part / 2u % 4u;
    let j = column + part % 2u * 4u * THREADS;
    if (i >= d || j >= d) {
      continue;
    }
    let at = (*problem).sOffset + i * (*problem).sStride + j / 4u;
    var result = scale.x * block[part];
    if (scale.y != 0.0) {
      result += scale.y * s[at];
    }
    if (j + 4u > d) {
      result = select(s[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(d));
    }
    s[at] = result;
  }
}

@compute @workgroup_size(THREADS, THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) own: u32,
) {
  let number = id.x + id.y * count.x;
  // The last problem whose first workgroup is not after this one.
  var index = 0u;
  for (var end = arrayLength(&problems); end - index > 1u;) {
    let middle = (index + end) / 2u;
    let before = problems[middle].first <= number;
    index = select(index, middle, before);
    end = select(middle, end, before);
  }
  let problem = &problems[index];
  let d = (*problem).d;
  let tile = number - (*problem).first;
  let top = tile / (*problem).tileCols * 8u * THREADS;
  let left = tile % (*problem).tileCols * 8u * THREADS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= d || left > top) {
    return;
  }

  // A thread brings one vec4f of a row to each operand, and where that is half of the rows, one of the other half.
  let row = own / (2u * THREADS);
  let quad = own % (2u * THREADS);
  let twice = THREADS < 2u * DEPTH;
  let half = THREADS / 2u;
  let aLive = top + 4u * quad < d;
  let bLive = left + 4u * quad < d;
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);
  var next = row;
  var aAt = (*problem).aOffset + row * aStride + top / 4u + quad;
  var bAt = (*problem).aOffset + row * aStride + left / 4u + quad;
  var a0 = load(aAt, aLive && next < k);
  var b0 = load(bAt, bLive && next < k);
  var a1 = load(aAt + half * aStride, twice && aLive && next + half < k);
  var b1 = load(bAt + half * aStride, twice && bLive && next + half < k);

  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var filled = 0u;
  for (var step = 0u; step < k; step += DEPTH) {
    aRows[filled + own] = a0;
    bRows[filled + own] = b0;
    if (twice) {
      aRows[filled + own + THREADS * THREADS] = a1;
      bRows[filled + own + THREADS * THREADS] = b1;
    }
    workgroupBarrier();
    // The rows of the next step are on their way while these are multiplied.
    next += DEPTH;
    aAt += DEPTH * aStride;
    bAt += DEPTH * aStride;
    a0 = load(aAt, aLive && next < k);
    b0 = load(bAt, bLive && next < k);
    a1 = load(aAt + half * aStride, twice && aLive && next + half < k);
    b1 = load(bAt + half * aStride, twice && bLive && next + half < k);
    let rows = min(DEPTH, k - step);
    for (var done = 0u; done < rows; done += 4u) {
      let ai = filled + done * 2u * THREADS + thread.y;
      let bj = filled + done * 2u * THREADS + thread.x;
      let a0_0 = aRows[ai + 0u * THREADS]; let a0_1 = aRows[ai + 1u * THREADS];
      let b0_0 = bRows[bj + 0u * THREADS]; let b0_1 = bRows[bj + 1u * THREADS];
      c0_0 = fma(vec4f(a0_0.x), b0_0, c0_0); c0_1 = fma(vec4f(a0_0.x), b0_1, c0_1);
      c1_0 = fma(vec4f(a0_0.y), b0_0, c1_0); c1_1 = fma(vec4f(a0_0.y), b0_1, c1_1);
      c2_0 = fma(vec4f(a0_0.z), b0_0, c2_0); c2_1 = fma(vec4f(a0_0.z), b0_1, c2_1);
      c3_0 = fma(vec4f(a0_0.w), b0_0, c3_0); c3_1 = fma(vec4f(a0_0.w), b0_1, c3_1);
      c4_0 = fma(vec4f(a0_1.x), b0_0, c4_0); c4_1 = fma(vec4f(a0_1.x), b0_1, c4_1);
      c5_0 = fma(vec4f(a0_1.y), b0_0, c5_0); c5_1 = fma(vec4f(a0_1.y), b0_1, c5_1);
      c6_0 = fma(vec4f(a0_1.z), b0_0, c6_0); c6_1 = fma(vec4f(a0_1.z), b0_1, c6_1);
      c7_0 = fma(vec4f(a0_1.w), b0_0, c7_0); c7_1 = fma(vec4f(a0_1.w), b0_1, c7_1);
      let a1_0 = aRows[ai + 2u * THREADS]; let a1_1 = aRows[ai + 3u * THREADS];
      let b1_0 = bRows[bj + 2u * THREADS]; let b1_1 = bRows[bj + 3u * THREADS];
      c0_0 = fma(vec4f(a1_0.x), b1_0, c0_0); c0_1 = fma(vec4f(a1_0.x), b1_1, c0_1);
      c1_0 = fma(vec4f(a1_0.y), b1_0, c1_0); c1_1 = fma(vec4f(a1_0.y), b1_1, c1_1);
      c2_0 = fma(vec4f(a1_0.z), b1_0, c2_0); c2_1 = fma(vec4f(a1_0.z), b1_1, c2_1);
      c3_0 = fma(vec4f(a1_0.w), b1_0, c3_0); c3_1 = fma(vec4f(a1_0.w), b1_1, c3_1);
      c4_0 = fma(vec4f(a1_1.x), b1_0, c4_0); c4_1 = fma(vec4f(a1_1.x), b1_1, c4_1);
      c5_0 = fma(vec4f(a1_1.y), b1_0, c5_0); c5_1 = fma(vec4f(a1_1.y), b1_1, c5_1);
      c6_0 = fma(vec4f(a1_1.z), b1_0, c6_0); c6_1 = fma(vec4f(a1_1.z), b1_1, c6_1);
      c7_0 = fma(vec4f(a1_1.w), b1_0, c7_0); c7_1 = fma(vec4f(a1_1.w), b1_1, c7_1);
      let a2_0 = aRows[ai + 4u * THREADS]; let a2_1 = aRows[ai + 5u * THREADS];
      let b2_0 = bRows[bj + 4u * THREADS]; let b2_1 = bRows[bj + 5u * THREADS];
      c0_0 = fma(vec4f(a2_0.x), b2_0, c0_0); c0_1 = fma(vec4f(a2_0.x), b2_1, c0_1);
      c1_0 = fma(vec4f(a2_0.y), b2_0, c1_0); c1_1 = fma(vec4f(a2_0.y), b2_1, c1_1);
      c2_0 = fma(vec4f(a2_0.z), b2_0, c2_0); c2_1 = fma(vec4f(a2_0.z), b2_1, c2_1);
      c3_0 = fma(vec4f(a2_0.w), b2_0, c3_0); c3_1 = fma(vec4f(a2_0.w), b2_1, c3_1);
      c4_0 = fma(vec4f(a2_1.x), b2_0, c4_0); c4_1 = fma(vec4f(a2_1.x), b2_1, c4_1);
      c5_0 = fma(vec4f(a2_1.y), b2_0, c5_0); c5_1 = fma(vec4f(a2_1.y), b2_1, c5_1);
      c6_0 = fma(vec4f(a2_1.z), b2_0, c6_0); c6_1 = fma(vec4f(a2_1.z), b2_1, c6_1);
      c7_0 = fma(vec4f(a2_1.w), b2_0, c7_0); c7_1 = fma(vec4f(a2_1.w), b2_1, c7_1);
      let a3_0 = aRows[ai + 6u * THREADS]; let a3_1 = aRows[ai + 7u * THREADS];
      let b3_0 = bRows[bj + 6u * THREADS]; let b3_1 = bRows[bj + 7u * THREADS];
      c0_0 = fma(vec4f(a3_0.x), b3_0, c0_0); c0_1 = fma(vec4f(a3_0.x), b3_1, c0_1);
      c1_0 = fma(vec4f(a3_0.y), b3_0, c1_0); c1_1 = fma(vec4f(a3_0.y), b3_1, c1_1);
      c2_0 = fma(vec4f(a3_0.z), b3_0, c2_0); c2_1 = fma(vec4f(a3_0.z), b3_1, c2_1);
      c3_0 = fma(vec4f(a3_0.w), b3_0, c3_0); c3_1 = fma(vec4f(a3_0.w), b3_1, c3_1);
      c4_0 = fma(vec4f(a3_1.x), b3_0, c4_0); c4_1 = fma(vec4f(a3_1.x), b3_1, c4_1);
      c5_0 = fma(vec4f(a3_1.y), b3_0, c5_0); c5_1 = fma(vec4f(a3_1.y), b3_1, c5_1);
      c6_0 = fma(vec4f(a3_1.z), b3_0, c6_0); c6_1 = fma(vec4f(a3_1.z), b3_1, c6_1);
      c7_0 = fma(vec4f(a3_1.w), b3_0, c7_0); c7_1 = fma(vec4f(a3_1.w), b3_1, c7_1);
    }
    filled = 2u * DEPTH * THREADS - filled;
  }

  let i = top + 4u * thread.y;
  let j = left + 4u * thread.x;

  var lower = array<vec4f, 16>(
    c0_0, c0_1, c1_0, c1_1, c2_0, c2_1, c3_0, c3_1,
    c4_0, c4_1, c5_0, c5_1, c6_0, c6_1, c7_0, c7_1,
  );
  store(index, i, j, lower);
  if (left < top) {
    let t0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
    let t0_1 = transpose(mat4x4f(c0_1, c1_1, c2_1, c3_1));
    let t1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
    let t1_1 = transpose(mat4x4f(c4_1, c5_1, c6_1, c7_1));
    var upper = array<vec4f, 16>(
      t0_0[0], t1_0[0], t0_0[1], t1_0[1], t0_0[2], t1_0[2], t0_0[3], t1_0[3],
      t0_1[0], t1_1[0], t0_1[1], t1_1[1], t0_1[2], t1_1[2], t0_1[3], t1_1[3],
    );
    store(index, j, i, upper);
  }
}
