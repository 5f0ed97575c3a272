// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
// For adapters whose subgroups have 4 lanes (software adapters): a workgroup is one subgroup, which shares its loads of
// A. A thread computes 32 × COLS numbers in registers, a workgroup 32 × COLS·LANES. Dispatched by
// src/linalg/products/gram.ts, many problems at once.
//
// Written by `npm run shaders` from source/gram.wgsl.
enable subgroups;

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

const LANES = 4u;
// Columns of C that a thread keeps, and vec4f of its block.
const COLS = 8u;
const PIECES = 8u * COLS;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
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
  let i = tile / (*problem).tileCols * 32u;
  let left = (tile % (*problem).tileCols) * LANES * COLS;
  // The whole workgroup or none of it: a lane that left could not share its loads.
  if (i >= d || left > i + 31u) {
    return;
  }
  let j = left + thread.x * COLS;
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
  var c8_0 = vec4f(); var c8_1 = vec4f();
  var c9_0 = vec4f(); var c9_1 = vec4f();
  var c10_0 = vec4f(); var c10_1 = vec4f();
  var c11_0 = vec4f(); var c11_1 = vec4f();
  var c12_0 = vec4f(); var c12_1 = vec4f();
  var c13_0 = vec4f(); var c13_1 = vec4f();
  var c14_0 = vec4f(); var c14_1 = vec4f();
  var c15_0 = vec4f(); var c15_1 = vec4f();
  var c16_0 = vec4f(); var c16_1 = vec4f();
  var c17_0 = vec4f(); var c17_1 = vec4f();
  var c18_0 = vec4f(); var c18_1 = vec4f();
  var c19_0 = vec4f(); var c19_1 = vec4f();
  var c20_0 = vec4f(); var c20_1 = vec4f();
  var c21_0 = vec4f(); var c21_1 = vec4f();
  var c22_0 = vec4f(); var c22_1 = vec4f();
  var c23_0 = vec4f(); var c23_1 = vec4f();
  var c24_0 = vec4f(); var c24_1 = vec4f();
  var c25_0 = vec4f(); var c25_1 = vec4f();
  var c26_0 = vec4f(); var c26_1 = vec4f();
  var c27_0 = vec4f(); var c27_1 = vec4f();
  var c28_0 = vec4f(); var c28_1 = vec4f();
  var c29_0 = vec4f(); var c29_1 = vec4f();
  var c30_0 = vec4f(); var c30_1 = vec4f();
  var c31_0 = vec4f(); var c31_1 = vec4f();
  var ai = (*problem).aOffset + i / 4u;
  var bj = (*problem).aOffset + min(j / 4u, aStride - 1u);
  for (var step = 0u; step < k; step += 2u) {
    // The second of two rows may be missing.
    let live = step + 1u < k;
    let aNext = select(0u, aStride, live);
    let bNext = aNext;
    let b0_0 = vec4f(a[bj + 0u]);
    let b0_1 = vec4f(a[bj + 1u]);
    let b1_0 = vec4f(a[bj + bNext + 0u]);
    let b1_1 = vec4f(a[bj + bNext + 1u]);
    let x0 = vec4f(a[ai + lane + 0u]);
    let x1 = vec4f(a[ai + lane + 4u]);
    let y0 = select(vec4f(), vec4f(a[ai + aNext + lane + 0u]), live);
    let y1 = select(vec4f(), vec4f(a[ai + aNext + lane + 4u]), live);
    let p0 = subgroupBroadcast(x0, 0u); let q0 = subgroupBroadcast(y0, 0u);
    c0_0 = fma(vec4f(q0.x), b1_0, fma(vec4f(p0.x), b0_0, c0_0));
    c0_1 = fma(vec4f(q0.x), b1_1, fma(vec4f(p0.x), b0_1, c0_1));
    c1_0 = fma(vec4f(q0.y), b1_0, fma(vec4f(p0.y), b0_0, c1_0));
    c1_1 = fma(vec4f(q0.y), b1_1, fma(vec4f(p0.y), b0_1, c1_1));
    c2_0 = fma(vec4f(q0.z), b1_0, fma(vec4f(p0.z), b0_0, c2_0));
    c2_1 = fma(vec4f(q0.z), b1_1, fma(vec4f(p0.z), b0_1, c2_1));
    c3_0 = fma(vec4f(q0.w), b1_0, fma(vec4f(p0.w), b0_0, c3_0));
    c3_1 = fma(vec4f(q0.w), b1_1, fma(vec4f(p0.w), b0_1, c3_1));
    let p1 = subgroupBroadcast(x0, 1u); let q1 = subgroupBroadcast(y0, 1u);
    c4_0 = fma(vec4f(q1.x), b1_0, fma(vec4f(p1.x), b0_0, c4_0));
    c4_1 = fma(vec4f(q1.x), b1_1, fma(vec4f(p1.x), b0_1, c4_1));
    c5_0 = fma(vec4f(q1.y), b1_0, fma(vec4f(p1.y), b0_0, c5_0));
    c5_1 = fma(vec4f(q1.y), b1_1, fma(vec4f(p1.y), b0_1, c5_1));
    c6_0 = fma(vec4f(q1.z), b1_0, fma(vec4f(p1.z), b0_0, c6_0));
    c6_1 = fma(vec4f(q1.z), b1_1, fma(vec4f(p1.z), b0_1, c6_1));
    c7_0 = fma(vec4f(q1.w), b1_0, fma(vec4f(p1.w), b0_0, c7_0));
    c7_1 = fma(vec4f(q1.w), b1_1, fma(vec4f(p1.w), b0_1, c7_1));
    let p2 = subgroupBroadcast(x0, 2u); let q2 = subgroupBroadcast(y0, 2u);
    c8_0 = fma(vec4f(q2.x), b1_0, fma(vec4f(p2.x), b0_0, c8_0));
    c8_1 = fma(vec4f(q2.x), b1_1, fma(vec4f(p2.x), b0_1, c8_1));
    c9_0 = fma(vec4f(q2.y), b1_0, fma(vec4f(p2.y), b0_0, c9_0));
    c9_1 = fma(vec4f(q2.y), b1_1, fma(vec4f(p2.y), b0_1, c9_1));
    c10_0 = fma(vec4f(q2.z), b1_0, fma(vec4f(p2.z), b0_0, c10_0));
    c10_1 = fma(vec4f(q2.z), b1_1, fma(vec4f(p2.z), b0_1, c10_1));
    c11_0 = fma(vec4f(q2.w), b1_0, fma(vec4f(p2.w), b0_0, c11_0));
    c11_1 = fma(vec4f(q2.w), b1_1, fma(vec4f(p2.w), b0_1, c11_1));
    let p3 = subgroupBroadcast(x0, 3u); let q3 = subgroupBroadcast(y0, 3u);
    c12_0 = fma(vec4f(q3.x), b1_0, fma(vec4f(p3.x), b0_0, c12_0));
    c12_1 = fma(vec4f(q3.x), b1_1, fma(vec4f(p3.x), b0_1, c12_1));
    c13_0 = fma(vec4f(q3.y), b1_0, fma(vec4f(p3.y), b0_0, c13_0));
    c13_1 = fma(vec4f(q3.y), b1_1, fma(vec4f(p3.y), b0_1, c13_1));
    c14_0 = fma(vec4f(q3.z), b1_0, fma(vec4f(p3.z), b0_0, c14_0));
    c14_1 = fma(vec4f(q3.z), b1_1, fma(vec4f(p3.z), b0_1, c14_1));
    c15_0 = fma(vec4f(q3.w), b1_0, fma(vec4f(p3.w), b0_0, c15_0));
    c15_1 = fma(vec4f(q3.w), b1_1, fma(vec4f(p3.w), b0_1, c15_1));
    let p4 = subgroupBroadcast(x1, 0u); let q4 = subgroupBroadcast(y1, 0u);
    c16_0 = fma(vec4f(q4.x), b1_0, fma(vec4f(p4.x), b0_0, c16_0));
    c16_1 = fma(vec4f(q4.x), b1_1, fma(vec4f(p4.x), b0_1, c16_1));
    c17_0 = fma(vec4f(q4.y), b1_0, fma(vec4f(p4.y), b0_0, c17_0));
    c17_1 = fma(vec4f(q4.y), b1_1, fma(vec4f(p4.y), b0_1, c17_1));
    c18_0 = fma(vec4f(q4.z), b1_0, fma(vec4f(p4.z), b0_0, c18_0));
    c18_1 = fma(vec4f(q4.z), b1_1, fma(vec4f(p4.z), b0_1, c18_1));
    c19_0 = fma(vec4f(q4.w), b1_0, fma(vec4f(p4.w), b0_0, c19_0));
    c19_1 = fma(vec4f(q4.w), b1_1, fma(vec4f(p4.w), b0_1, c19_1));
    let p5 = subgroupBroadcast(x1, 1u); let q5 = subgroupBroadcast(y1, 1u);
    c20_0 = fma(vec4f(q5.x), b1_0, fma(vec4f(p5.x), b0_0, c20_0));
    c20_1 = fma(vec4f(q5.x), b1_1, fma(vec4f(p5.x), b0_1, c20_1));
    c21_0 = fma(vec4f(q5.y), b1_0, fma(vec4f(p5.y), b0_0, c21_0));
    c21_1 = fma(vec4f(q5.y), b1_1, fma(vec4f(p5.y), b0_1, c21_1));
    c22_0 = fma(vec4f(q5.z), b1_0, fma(vec4f(p5.z), b0_0, c22_0));
    c22_1 = fma(vec4f(q5.z), b1_1, fma(vec4f(p5.z), b0_1, c22_1));
    c23_0 = fma(vec4f(q5.w), b1_0, fma(vec4f(p5.w), b0_0, c23_0));
    c23_1 = fma(vec4f(q5.w), b1_1, fma(vec4f(p5.w), b0_1, c23_1));
    let p6 = subgroupBroadcast(x1, 2u); let q6 = subgroupBroadcast(y1, 2u);
    c24_0 = fma(vec4f(q6.x), b1_0, fma(vec4f(p6.x), b0_0, c24_0));
    c24_1 = fma(vec4f(q6.x), b1_1, fma(vec4f(p6.x), b0_1, c24_1));
    c25_0 = fma(vec4f(q6.y), b1_0, fma(vec4f(p6.y), b0_0, c25_0));
    c25_1 = fma(vec4f(q6.y), b1_1, fma(vec4f(p6.y), b0_1, c25_1));
    c26_0 = fma(vec4f(q6.z), b1_0, fma(vec4f(p6.z), b0_0, c26_0));
    c26_1 = fma(vec4f(q6.z), b1_1, fma(vec4f(p6.z), b0_1, c26_1));
    c27_0 = fma(vec4f(q6.w), b1_0, fma(vec4f(p6.w), b0_0, c27_0));
    c27_1 = fma(vec4f(q6.w), b1_1, fma(vec4f(p6.w), b0_1, c27_1));
    let p7 = subgroupBroadcast(x1, 3u); let q7 = subgroupBroadcast(y1, 3u);
    c28_0 = fma(vec4f(q7.x), b1_0, fma(vec4f(p7.x), b0_0, c28_0));
    c28_1 = fma(vec4f(q7.x), b1_1, fma(vec4f(p7.x), b0_1, c28_1));
    c29_0 = fma(vec4f(q7.y), b1_0, fma(vec4f(p7.y), b0_0, c29_0));
    c29_1 = fma(vec4f(q7.y), b1_1, fma(vec4f(p7.y), b0_1, c29_1));
    c30_0 = fma(vec4f(q7.z), b1_0, fma(vec4f(p7.z), b0_0, c30_0));
    c30_1 = fma(vec4f(q7.z), b1_1, fma(vec4f(p7.z), b0_1, c30_1));
    c31_0 = fma(vec4f(q7.w), b1_0, fma(vec4f(p7.w), b0_0, c31_0));
    c31_1 = fma(vec4f(q7.w), b1_1, fma(vec4f(p7.w), b0_1, c31_1));
    ai += 2u * aStride;
    bj += 2u * aStride;
  }

  if (j > i + 31u || j >= d) {
    return;
  }

  var block = array<f32, 256>(
    c0_0.x, c0_0.y, c0_0.z, c0_0.w, c0_1.x, c0_1.y, c0_1.z, c0_1.w,
    c1_0.x, c1_0.y, c1_0.z, c1_0.w, c1_1.x, c1_1.y, c1_1.z, c1_1.w,
    c2_0.x, c2_0.y, c2_0.z, c2_0.w, c2_1.x, c2_1.y, c2_1.z, c2_1.w,
    c3_0.x, c3_0.y, c3_0.z, c3_0.w, c3_1.x, c3_1.y, c3_1.z, c3_1.w,
    c4_0.x, c4_0.y, c4_0.z, c4_0.w, c4_1.x, c4_1.y, c4_1.z, c4_1.w,
    c5_0.x, c5_0.y, c5_0.z, c5_0.w, c5_1.x, c5_1.y, c5_1.z, c5_1.w,
    c6_0.x, c6_0.y, c6_0.z, c6_0.w, c6_1.x, c6_1.y, c6_1.z, c6_1.w,
    c7_0.x, c7_0.y, c7_0.z, c7_0.w, c7_1.x, c7_1.y, c7_1.z, c7_1.w,
    c8_0.x, c8_0.y, c8_0.z, c8_0.w, c8_1.x, c8_1.y, c8_1.z, c8_1.w,
    c9_0.x, c9_0.y, c9_0.z, c9_0.w, c9_1.x, c9_1.y, c9_1.z, c9_1.w,
    c10_0.x, c10_0.y, c10_0.z, c10_0.w, c10_1.x, c10_1.y, c10_1.z, c10_1.w,
    c11_0.x, c11_0.y, c11_0.z, c11_0.w, c11_1.x, c11_1.y, c11_1.z, c11_1.w,
    c12_0.x, c12_0.y, c12_0.z, c12_0.w, c12_1.x, c12_1.y, c12_1.z, c12_1.w,
    c13_0.x, c13_0.y, c13_0.z, c13_0.w, c13_1.x, c13_1.y, c13_1.z, c13_1.w,
    c14_0.x, c14_0.y, c14_0.z, c14_0.w, c14_1.x, c14_1.y, c14_1.z, c14_1.w,
    c15_0.x, c15_0.y, c15_0.z, c15_0.w, c15_1.x, c15_1.y, c15_1.z, c15_1.w,
    c16_0.x, c16_0.y, c16_0.z, c16_0.w, c16_1.x, c16_1.y, c16_1.z, c16_1.w,
    c17_0.x, c17_0.y, c17_0.z, c17_0.w, c17_1.x, c17_1.y, c17_1.z, c17_1.w,
    c18_0.x, c18_0.y, c18_0.z, c18_0.w, c18_1.x, c18_1.y, c18_1.z, c18_1.w,
    c19_0.x, c19_0.y, c19_0.z, c19_0.w, c19_1.x, c19_1.y, c19_1.z, c19_1.w,
    c20_0.x, c20_0.y, c20_0.z, c20_0.w, c20_1.x, c20_1.y, c20_1.z, c20_1.w,
    c21_0.x, c21_0.y, c21_0.z, c21_0.w, c21_1.x, c21_1.y, c21_1.z, c21_1.w,
    c22_0.x, c22_0.y, c22_0.z, c22_0.w, c22_1.x, c22_1.y, c22_1.z, c22_1.w,
    c23_0.x, c23_0.y, c23_0.z, c23_0.w, c23_1.x, c23_1.y, c23_1.z, c23_1.w,
    c24_0.x, c24_0.y, c24_0.z, c24_0.w, c24_1.x, c24_1.y, c24_1.z, c24_1.w,
    c25_0.x, c25_0.y, c25_0.z, c25_0.w, c25_1.x, c25_1.y, c25_1.z, c25_1.w,
    c26_0.x, c26_0.y, c26_0.z, c26_0.w, c26_1.x, c26_1.y, c26_1.z, c26_1.w,
    c27_0.x, c27_0.y, c27_0.z, c27_0.w, c27_1.x, c27_1.y, c27_1.z, c27_1.w,
    c28_0.x, c28_0.y, c28_0.z, c28_0.w, c28_1.x, c28_1.y, c28_1.z, c28_1.w,
    c29_0.x, c29_0.y, c29_0.z, c29_0.w, c29_1.x, c29_1.y, c29_1.z, c29_1.w,
    c30_0.x, c30_0.y, c30_0.z, c30_0.w, c30_1.x, c30_1.y, c30_1.z, c30_1.w,
    c31_0.x, c31_0.y, c31_0.z, c31_0.w, c31_1.x, c31_1.y, c31_1.z, c31_1.w,
  );
  // Pieces of rows, then as many of columns for the mirror image. One loop, from a number that the compiler does not
  // know: unrolled stores take a software adapter seconds to compile.
  let scale = scales[(*problem).scale];
  let first = number * 2u * PIECES;
  for (var piece = first; piece < first + 2u * PIECES; piece++) {
    let part = (piece - first) % PIECES;
    let mirrored = piece - first >= PIECES;
    // Of blocks of 8 × 8, those on or below the diagonal come as they are, those above mirrored.
    let at = select(vec2u(part * 4u / COLS, part * 4u % COLS), vec2u(part / 8u, part % 8u * 4u), mirrored);
    let row = select(i, j, mirrored) + at.x;
    let column = select(j, i, mirrored) + at.y;
    if (row >= d || column >= d || (column / 8u > row / 8u) != mirrored) {
      continue;
    }
    let source = select(at.x * COLS + at.y, at.y * COLS + at.x, mirrored);
    let step = select(1u, COLS, mirrored);
    let place = (*problem).sOffset + row * (*problem).sStride + column / 4u;
    var old = vec4f();
    if (scale.y != 0.0 || column + 4u > d) {
      old = s[place];
    }
    let sum = vec4f(block[source], block[source + step], block[source + 2u * step], block[source + 3u * step]);
    var result = scale.x * sum;
    if (scale.y != 0.0) {
      result += scale.y * old;
    }
    s[place] = select(old, result, vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(d));
  }
}
