// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only 8 × 8 blocks on or
// below the diagonal are computed; those below are also written mirrored, so that S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors). A thread
// computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
// src/linalg/products/gram.ts, many problems at once.

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

override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

// Writes an 8 × 8 block at (row, column), a row in two halves. A loop, not unrolled text: stores are a small part of the
// work, and sixteen copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
  let end = select(16u, (d - row) * 2u, d - row < 8u);
  for (var part = 0u; part < end; part++) {
    let j = column + (part & 1u) * 4u;
    if (j >= d) {
      continue;
    }
    let at = (*problem).sOffset + (row + part / 2u) * (*problem).sStride + j / 4u;
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

  var c00 = vec4f(); var c01 = vec4f();
  var c10 = vec4f(); var c11 = vec4f();
  var c20 = vec4f(); var c21 = vec4f();
  var c30 = vec4f(); var c31 = vec4f();
  var c40 = vec4f(); var c41 = vec4f();
  var c50 = vec4f(); var c51 = vec4f();
  var c60 = vec4f(); var c61 = vec4f();
  var c70 = vec4f(); var c71 = vec4f();
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);
  var ai = (*problem).aOffset + i / 4u;
  var bj = (*problem).aOffset + j / 4u;
  for (var step = 0u; step < k; step++) {
    let b0 = a[bj];
    let b1 = a[bj + 1u];
    let a0 = a[ai];
    let a1 = a[ai + 1u];
    c00 = fma(vec4f(a0.x), b0, c00); c01 = fma(vec4f(a0.x), b1, c01);
    c10 = fma(vec4f(a0.y), b0, c10); c11 = fma(vec4f(a0.y), b1, c11);
    c20 = fma(vec4f(a0.z), b0, c20); c21 = fma(vec4f(a0.z), b1, c21);
    c30 = fma(vec4f(a0.w), b0, c30); c31 = fma(vec4f(a0.w), b1, c31);
    c40 = fma(vec4f(a1.x), b0, c40); c41 = fma(vec4f(a1.x), b1, c41);
    c50 = fma(vec4f(a1.y), b0, c50); c51 = fma(vec4f(a1.y), b1, c51);
    c60 = fma(vec4f(a1.z), b0, c60); c61 = fma(vec4f(a1.z), b1, c61);
    c70 = fma(vec4f(a1.w), b0, c70); c71 = fma(vec4f(a1.w), b1, c71);
    ai += aStride;
    bj += aStride;
  }

  store(index, i, j, array(c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51, c60, c61, c70, c71));
  if (j < i) {
    let t0 = transpose(mat4x4f(c00, c10, c20, c30));
    let t1 = transpose(mat4x4f(c40, c50, c60, c70));
    let t2 = transpose(mat4x4f(c01, c11, c21, c31));
    let t3 = transpose(mat4x4f(c41, c51, c61, c71));
    store(index, j, i, array(
      t0[0], t1[0], t0[1], t1[1], t0[2], t1[2], t0[3], t1[3],
      t2[0], t3[0], t2[1], t3[1], t2[2], t3[2], t2[3], t3[3],
    ));
  }
}
