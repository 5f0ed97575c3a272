// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
// A thread computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
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

override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

// Writes 8 rows of 8 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  // Their number, but one that the compiler does not know.
  let end = select(0u, 16u, row < d);
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 4u + part / 2u % 4u;
    let j = column + part % 2u * 4u;
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

@compute @workgroup_size(THREADS_J, THREADS_I)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
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
  let i = ((tile / (*problem).tileCols) * THREADS_I + thread.y) * 8u;
  let j = ((tile % (*problem).tileCols) * THREADS_J + thread.x) * 8u;
  if (i >= d || j > i) {
    return;
  }
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);

  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var ai = (*problem).aOffset + i / 4u;
  var bj = (*problem).aOffset + j / 4u;
  for (var step = 0u; step < k; step++) {
    let b_0 = vec4f(a[bj]);
    let b_1 = vec4f(a[bj + 1u]);
    let a_0 = vec4f(a[ai]);
    let a_1 = vec4f(a[ai + 1u]);
    c0_0 = fma(vec4f(a_0.x), b_0, c0_0); c0_1 = fma(vec4f(a_0.x), b_1, c0_1);
    c1_0 = fma(vec4f(a_0.y), b_0, c1_0); c1_1 = fma(vec4f(a_0.y), b_1, c1_1);
    c2_0 = fma(vec4f(a_0.z), b_0, c2_0); c2_1 = fma(vec4f(a_0.z), b_1, c2_1);
    c3_0 = fma(vec4f(a_0.w), b_0, c3_0); c3_1 = fma(vec4f(a_0.w), b_1, c3_1);
    c4_0 = fma(vec4f(a_1.x), b_0, c4_0); c4_1 = fma(vec4f(a_1.x), b_1, c4_1);
    c5_0 = fma(vec4f(a_1.y), b_0, c5_0); c5_1 = fma(vec4f(a_1.y), b_1, c5_1);
    c6_0 = fma(vec4f(a_1.z), b_0, c6_0); c6_1 = fma(vec4f(a_1.z), b_1, c6_1);
    c7_0 = fma(vec4f(a_1.w), b_0, c7_0); c7_1 = fma(vec4f(a_1.w), b_1, c7_1);
    ai += aStride;
    bj += aStride;
  }

  var lower = array<vec4f, 16>(
    c0_0, c0_1,
    c1_0, c1_1,
    c2_0, c2_1,
    c3_0, c3_1,
    c4_0, c4_1,
    c5_0, c5_1,
    c6_0, c6_1,
    c7_0, c7_1,
  );
  store(index, i, j, lower);
  if (j < i) {
    let upper0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
    let upper0_1 = transpose(mat4x4f(c0_1, c1_1, c2_1, c3_1));
    let upper1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
    let upper1_1 = transpose(mat4x4f(c4_1, c5_1, c6_1, c7_1));
    var upper = array<vec4f, 16>(
      upper0_0[0], upper1_0[0],
      upper0_0[1], upper1_0[1],
      upper0_0[2], upper1_0[2],
      upper0_0[3], upper1_0[3],
      upper0_1[0], upper1_1[0],
      upper0_1[1], upper1_1[1],
      upper0_1[2], upper1_1[2],
      upper0_1[3], upper1_1[3],
    );
    store(index, j, i, upper);
  }
}
