// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
// For GPUs: a workgroup computes a tile of 128 × 128 numbers, and its threads bring the numbers of A that
// it takes to workgroup memory together. A thread computes 16 × 8 numbers in registers, blocks of 4 × 4 that lie a whole
// grid of threads apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// src/linalg/products/gram.ts, many problems at once.
//
// Written by `npm run shaders` from source/gram.wgsl.

// Four numbers of A as they are stored: f32, or f16 in the form that src/linalg/products/half.ts makes of this text. Sums are
// of f32 either way.
alias Operand = vec4f;

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
@group(0) @binding(2) var<storage, read> a: array<Operand>;
@group(0) @binding(3) var<storage, read_write> s: array<vec4f>;

// Rows of A in workgroup memory at a time.
const DEPTH = 16u;
// Threads of a workgroup.
const THREADS = 128u;
// vec4f of a row of the tile, and of a column.
const DOWN = 32u;
const ACROSS = 32u;

// aRows holds what becomes the rows of the tile, bRows what becomes its columns. One set of each: larger tiles are worth more than
// a barrier less.
var<workgroup> aRows: array<Operand, DEPTH * DOWN>;
var<workgroup> bRows: array<Operand, DEPTH * ACROSS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn load(at: u32, live: bool) -> Operand {
  if (live) {
    return a[at];
  }
  return Operand();
}

// Writes 16 rows of 8 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, values: array<vec4f, 32>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  let end = 32u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 32u + part / 2u % 4u;
    let j = column + part % 2u * 64u;
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

// Writes 8 rows of 16 numbers of the transpose, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeTurned(index: u32, row: u32, column: u32, values: array<vec4f, 32>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  let end = 32u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 16u * 64u + part / 4u % 4u;
    let j = column + part % 4u * 32u;
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

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
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
  let top = tile / (*problem).tileCols * 4u * DOWN;
  let left = tile % (*problem).tileCols * 4u * ACROSS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= d || left > top) {
    return;
  }

  // A thread brings 4 vec4f of A and 4 of B, each a few rows below the last.
  let aRow = own / DOWN;
  let bRow = own / ACROSS;
  let aLive = top + 4u * (own % DOWN) < d;
  let bLive = left + 4u * (own % ACROSS) < d;
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);
  var aAt = (*problem).aOffset + aRow * aStride + top / 4u + own % DOWN;
  var bAt = (*problem).aOffset + bRow * aStride + left / 4u + own % ACROSS;
  var next = 0u;
  var a0 = load(aAt + 0u * aStride, aLive && next + aRow + 0u < k);
  var a1 = load(aAt + 4u * aStride, aLive && next + aRow + 4u < k);
  var a2 = load(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
  var a3 = load(aAt + 12u * aStride, aLive && next + aRow + 12u < k);
  var b0 = load(bAt + 0u * aStride, bLive && next + bRow + 0u < k);
  var b1 = load(bAt + 4u * aStride, bLive && next + bRow + 4u < k);
  var b2 = load(bAt + 8u * aStride, bLive && next + bRow + 8u < k);
  var b3 = load(bAt + 12u * aStride, bLive && next + bRow + 12u < k);

  let across = own % 16u;
  let down = own / 16u;
  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var c8_0 = vec4f(); var c8_1 = vec4f();
  var c9_0 = vec4f(); var c9_1 = vec4f();
  var c10_0 = vec4f(); var c10_1 = vec4f();
  var c11_0 = vec4f(); var c11_1 = vec4f();
  var c12_0 = vec4f(); var c12_1 = vec4f();
  var c13_0 = vec4f(); var c13_1 = vec4f();
  var c14_0 = vec4f(); var c14_1 = vec4f();
  var c15_0 = vec4f(); var c15_1 = vec4f();
  for (var step = 0u; step < k; step += DEPTH) {
    aRows[own + 0u * THREADS] = a0;
    aRows[own + 1u * THREADS] = a1;
    aRows[own + 2u * THREADS] = a2;
    aRows[own + 3u * THREADS] = a3;
    bRows[own + 0u * THREADS] = b0;
    bRows[own + 1u * THREADS] = b1;
    bRows[own + 2u * THREADS] = b2;
    bRows[own + 3u * THREADS] = b3;
    workgroupBarrier();
    // The rows of the next step are on their way while these are multiplied.
    next += DEPTH;
    aAt += DEPTH * aStride;
    bAt += DEPTH * aStride;
    a0 = load(aAt + 0u * aStride, aLive && next + aRow + 0u < k);
    a1 = load(aAt + 4u * aStride, aLive && next + aRow + 4u < k);
    a2 = load(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
    a3 = load(aAt + 12u * aStride, aLive && next + aRow + 12u < k);
    b0 = load(bAt + 0u * aStride, bLive && next + bRow + 0u < k);
    b1 = load(bAt + 4u * aStride, bLive && next + bRow + 4u < k);
    b2 = load(bAt + 8u * aStride, bLive && next + bRow + 8u < k);
    b3 = load(bAt + 12u * aStride, bLive && next + bRow + 12u < k);
    let rows = min(DEPTH, k - step);
    for (var done = 0u; done < rows; done++) {
      let p_0 = vec4f(aRows[done * DOWN + down + 0u]);
      let p_1 = vec4f(aRows[done * DOWN + down + 8u]);
      let p_2 = vec4f(aRows[done * DOWN + down + 16u]);
      let p_3 = vec4f(aRows[done * DOWN + down + 24u]);
      let q_0 = vec4f(bRows[done * ACROSS + across + 0u]);
      let q_1 = vec4f(bRows[done * ACROSS + across + 16u]);
      c0_0 = fma(vec4f(p_0.x), q_0, c0_0); c0_1 = fma(vec4f(p_0.x), q_1, c0_1);
      c1_0 = fma(vec4f(p_0.y), q_0, c1_0); c1_1 = fma(vec4f(p_0.y), q_1, c1_1);
      c2_0 = fma(vec4f(p_0.z), q_0, c2_0); c2_1 = fma(vec4f(p_0.z), q_1, c2_1);
      c3_0 = fma(vec4f(p_0.w), q_0, c3_0); c3_1 = fma(vec4f(p_0.w), q_1, c3_1);
      c4_0 = fma(vec4f(p_1.x), q_0, c4_0); c4_1 = fma(vec4f(p_1.x), q_1, c4_1);
      c5_0 = fma(vec4f(p_1.y), q_0, c5_0); c5_1 = fma(vec4f(p_1.y), q_1, c5_1);
      c6_0 = fma(vec4f(p_1.z), q_0, c6_0); c6_1 = fma(vec4f(p_1.z), q_1, c6_1);
      c7_0 = fma(vec4f(p_1.w), q_0, c7_0); c7_1 = fma(vec4f(p_1.w), q_1, c7_1);
      c8_0 = fma(vec4f(p_2.x), q_0, c8_0); c8_1 = fma(vec4f(p_2.x), q_1, c8_1);
      c9_0 = fma(vec4f(p_2.y), q_0, c9_0); c9_1 = fma(vec4f(p_2.y), q_1, c9_1);
      c10_0 = fma(vec4f(p_2.z), q_0, c10_0); c10_1 = fma(vec4f(p_2.z), q_1, c10_1);
      c11_0 = fma(vec4f(p_2.w), q_0, c11_0); c11_1 = fma(vec4f(p_2.w), q_1, c11_1);
      c12_0 = fma(vec4f(p_3.x), q_0, c12_0); c12_1 = fma(vec4f(p_3.x), q_1, c12_1);
      c13_0 = fma(vec4f(p_3.y), q_0, c13_0); c13_1 = fma(vec4f(p_3.y), q_1, c13_1);
      c14_0 = fma(vec4f(p_3.z), q_0, c14_0); c14_1 = fma(vec4f(p_3.z), q_1, c14_1);
      c15_0 = fma(vec4f(p_3.w), q_0, c15_0); c15_1 = fma(vec4f(p_3.w), q_1, c15_1);
    }
    // Everyone is done with these rows.
    workgroupBarrier();
  }

  let i = top + 4u * down;
  let j = left + 4u * across;

  var lower = array<vec4f, 32>(
    c0_0, c0_1,
    c1_0, c1_1,
    c2_0, c2_1,
    c3_0, c3_1,
    c4_0, c4_1,
    c5_0, c5_1,
    c6_0, c6_1,
    c7_0, c7_1,
    c8_0, c8_1,
    c9_0, c9_1,
    c10_0, c10_1,
    c11_0, c11_1,
    c12_0, c12_1,
    c13_0, c13_1,
    c14_0, c14_1,
    c15_0, c15_1,
  );
  store(index, i, j, lower);
  if (left < top) {
    let upper0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
    let upper0_1 = transpose(mat4x4f(c0_1, c1_1, c2_1, c3_1));
    let upper1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
    let upper1_1 = transpose(mat4x4f(c4_1, c5_1, c6_1, c7_1));
    let upper2_0 = transpose(mat4x4f(c8_0, c9_0, c10_0, c11_0));
    let upper2_1 = transpose(mat4x4f(c8_1, c9_1, c10_1, c11_1));
    let upper3_0 = transpose(mat4x4f(c12_0, c13_0, c14_0, c15_0));
    let upper3_1 = transpose(mat4x4f(c12_1, c13_1, c14_1, c15_1));
    var upper = array<vec4f, 32>(
      upper0_0[0], upper1_0[0], upper2_0[0], upper3_0[0],
      upper0_0[1], upper1_0[1], upper2_0[1], upper3_0[1],
      upper0_0[2], upper1_0[2], upper2_0[2], upper3_0[2],
      upper0_0[3], upper1_0[3], upper2_0[3], upper3_0[3],
      upper0_1[0], upper1_1[0], upper2_1[0], upper3_1[0],
      upper0_1[1], upper1_1[1], upper2_1[1], upper3_1[1],
      upper0_1[2], upper1_1[2], upper2_1[2], upper3_1[2],
      upper0_1[3], upper1_1[3], upper2_1[3], upper3_1[3],
    );
    storeTurned(index, j, i, upper);
  }
}
