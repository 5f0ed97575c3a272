// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
// For GPUs, where results are small and sums are long: a workgroup computes 8 × 8 numbers, each thread 4 × 4 of them over
// each 64th row of A. What the threads of one place have is then added up, in a fixed order. Dispatched by
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

const SLICES = 64u;
const GRID = 4u;

// The sums of the slices, 4 threads' after each other.
var<workgroup> sums: array<array<vec4f, 4>, SLICES * GRID>;

// Writes 4 rows of 4 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, values: array<vec4f, 4>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  let end = 4u;
  for (var part = 0u; part < end; part++) {
    let i = row + part;
    let j = column;
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

@compute @workgroup_size(SLICES * GRID)
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
  let top = tile / (*problem).tileCols * 8u;
  let left = tile % (*problem).tileCols * 8u;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= d || left > top) {
    return;
  }
  let slice = own / GRID;
  let i = top + 4u * (own % GRID / 2u);
  let j = left + 4u * (own % 2u);
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);

  var c0_0 = vec4f();
  var c1_0 = vec4f();
  var c2_0 = vec4f();
  var c3_0 = vec4f();
  if (i < d && j < d) {
    var ai = (*problem).aOffset + slice * aStride + i / 4u;
    var bj = (*problem).aOffset + slice * aStride + j / 4u;
    var step = slice;
    // Four rows on their way at a time: alone on its processor, a workgroup mostly waits for memory.
    for (; step + 3u * SLICES < k; step += 4u * SLICES) {
      let a0_0 = vec4f(a[ai + 0u * SLICES * aStride]);
      let b0_0 = vec4f(a[bj + 0u * SLICES * aStride]);
      let a1_0 = vec4f(a[ai + 1u * SLICES * aStride]);
      let b1_0 = vec4f(a[bj + 1u * SLICES * aStride]);
      let a2_0 = vec4f(a[ai + 2u * SLICES * aStride]);
      let b2_0 = vec4f(a[bj + 2u * SLICES * aStride]);
      let a3_0 = vec4f(a[ai + 3u * SLICES * aStride]);
      let b3_0 = vec4f(a[bj + 3u * SLICES * aStride]);
      c0_0 = fma(vec4f(a0_0.x), b0_0, c0_0);
      c1_0 = fma(vec4f(a0_0.y), b0_0, c1_0);
      c2_0 = fma(vec4f(a0_0.z), b0_0, c2_0);
      c3_0 = fma(vec4f(a0_0.w), b0_0, c3_0);
      c0_0 = fma(vec4f(a1_0.x), b1_0, c0_0);
      c1_0 = fma(vec4f(a1_0.y), b1_0, c1_0);
      c2_0 = fma(vec4f(a1_0.z), b1_0, c2_0);
      c3_0 = fma(vec4f(a1_0.w), b1_0, c3_0);
      c0_0 = fma(vec4f(a2_0.x), b2_0, c0_0);
      c1_0 = fma(vec4f(a2_0.y), b2_0, c1_0);
      c2_0 = fma(vec4f(a2_0.z), b2_0, c2_0);
      c3_0 = fma(vec4f(a2_0.w), b2_0, c3_0);
      c0_0 = fma(vec4f(a3_0.x), b3_0, c0_0);
      c1_0 = fma(vec4f(a3_0.y), b3_0, c1_0);
      c2_0 = fma(vec4f(a3_0.z), b3_0, c2_0);
      c3_0 = fma(vec4f(a3_0.w), b3_0, c3_0);
      ai += 4u * SLICES * aStride;
      bj += 4u * SLICES * aStride;
    }
    for (; step < k; step += SLICES) {
      let a_0 = vec4f(a[ai]);
      let b_0 = vec4f(a[bj]);
      c0_0 = fma(vec4f(a_0.x), b_0, c0_0);
      c1_0 = fma(vec4f(a_0.y), b_0, c1_0);
      c2_0 = fma(vec4f(a_0.z), b_0, c2_0);
      c3_0 = fma(vec4f(a_0.w), b_0, c3_0);
      ai += SLICES * aStride;
      bj += SLICES * aStride;
    }
  }
  sums[own] = array<vec4f, 4>(c0_0, c1_0, c2_0, c3_0);
  // Half as many slices in each round.
  for (var half = SLICES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (slice < half) {
      for (var r = 0u; r < 4u; r++) {
        sums[own][r] += sums[own + half * GRID][r];
      }
    }
  }
  if (slice > 0u) {
    return;
  }
  c0_0 = sums[own][0];
  c1_0 = sums[own][1];
  c2_0 = sums[own][2];
  c3_0 = sums[own][3];

  var lower = array<vec4f, 4>(
    c0_0,
    c1_0,
    c2_0,
    c3_0,
  );
  store(index, i, j, lower);
  if (left < top) {
    let upper0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
    var upper = array<vec4f, 4>(
      upper0_0[0],
      upper0_0[1],
      upper0_0[2],
      upper0_0[3],
    );
    store(index, j, i, upper);
  }
}
