// What a layer's product leaves: P = A'X + what was there, and of it φ(P), or P ∘ φ' for derivatives, with A stored k × m and
// X stored k × n, an example (or position) a column. φ is one of KIND_…, identity included; φ' is taken from the results
// `values` of φ. The result R goes to `rows`, n × m, an example a row, and where a product reads that next to `turned` too,
// m × n.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column are left as they are. Of derivatives, several blocks
// of one row an example lie under each other, and the first row here is number firstRow of them: number r belongs to example
// r mod examples, a row of `values`.
// X may lie in the buffer that R' is written to, in another place: it is read from there where IN_PLACE is 1.
//
// For adapters whose subgroups have 8 lanes (software adapters): a workgroup is one subgroup, which shares its loads of
// A. A thread computes 32 × COLS numbers in registers, a workgroup 32 × COLS·LANES. Dispatched by
// src/layers/layer-product.ts, many problems at once.
//
// Written by `npm run shaders` from source/layer_product.wgsl.
enable subgroups;

struct LayerProductProblem {
  first: u32,
  tileCols: u32,
  m: u32,
  n: u32,
  k: u32,
  weightOffset: u32,
  weightStride: u32,
  inputOffset: u32,
  inputStride: u32,
  rowsOffset: u32,
  rowsStride: u32,
  adds: u32,
  turns: u32,
  turnedOffset: u32,
  turnedStride: u32,
  kind: u32,
  slope: f32,
  derivative: u32,
  examples: u32,
  firstRow: u32,
  valueOffset: u32,
  valueStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<LayerProductProblem>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> inputs: array<vec4f>;
@group(0) @binding(3) var<storage, read> values: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> turned: array<vec4f>;

override IN_PLACE: u32 = 0;

fn input(at: u32) -> vec4f {
  if (IN_PLACE != 0u) {
    return turned[at];
  }
  return inputs[at];
}

const KIND_RELU = 1u;
const KIND_LEAKY_RELU = 2u;
const KIND_TANH = 3u;
const KIND_LOGISTIC = 4u;

fn hyperbolicTangent(z: vec4f) -> vec4f {
  let x = abs(z);
  let e = exp(-2.0 * x);
  let quotient = sign(z) * (1.0 - e) / (1.0 + e);
  // Where the quotient would lose digits; the series ends at a relative 1e-8.
  let s = z * z;
  let tail = fma(s, fma(s, vec4f(0.021869489), vec4f(-0.053968254)), vec4f(0.13333333));
  let series = fma(z * s, fma(s, tail, vec4f(-0.33333333)), z);
  return select(quotient, series, x < vec4f(0.25));
}

fn logistic(z: vec4f) -> vec4f {
  let e = exp(-abs(z));
  return select(e, vec4f(1.0), z >= vec4f()) / (1.0 + e);
}

fn activate(kind: u32, slope: f32, z: vec4f) -> vec4f {
  switch (kind) {
    case KIND_RELU: {
      return max(z, vec4f());
    }
    case KIND_LEAKY_RELU: {
      return select(slope * z, z, z > vec4f());
    }
    case KIND_TANH: {
      return hyperbolicTangent(z);
    }
    case KIND_LOGISTIC: {
      return logistic(z);
    }
    default: {
      return z;
    }
  }
}

// At zero, relu and leakyRelu take the slope of the negative side.
fn slopeAt(kind: u32, slope: f32, a: vec4f) -> vec4f {
  switch (kind) {
    case KIND_RELU: {
      return select(vec4f(), vec4f(1.0), a > vec4f());
    }
    case KIND_LEAKY_RELU: {
      return select(vec4f(slope), vec4f(1.0), a > vec4f());
    }
    case KIND_TANH: {
      return (1.0 - a) * (1.0 + a);
    }
    case KIND_LOGISTIC: {
      return a * (1.0 - a);
    }
    default: {
      return vec4f(1.0);
    }
  }
}

// R from P, four numbers of a row from column `column` on. The problem is a copy, read once and not for every four numbers.
fn finished(own: LayerProductProblem, sum: vec4f, row: u32, column: u32) -> vec4f {
  if (own.derivative == 0u) {
    return activate(own.kind, own.slope, sum);
  }
  let example = (own.firstRow + row) % own.examples;
  return sum * slopeAt(own.kind, own.slope, values[own.valueOffset + example * own.valueStride + column / 4u]);
}

const LANES = 8u;
// Columns of C that a thread keeps, and vec4f of its block.
const COLS = 4u;
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
  let m = (*problem).m;
  let n = (*problem).n;
  let tile = number - (*problem).first;
  let i = tile / (*problem).tileCols * 32u;
  let left = (tile % (*problem).tileCols) * LANES * COLS;
  // The whole workgroup or none of it: a lane that left could not share its loads.
  if (i >= m || left >= n) {
    return;
  }
  let j = left + thread.x * COLS;
  let aStride = (*problem).weightStride;
  let bStride = (*problem).inputStride;
  let k = (*problem).k;

  var c0_0 = vec4f();
  var c1_0 = vec4f();
  var c2_0 = vec4f();
  var c3_0 = vec4f();
  var c4_0 = vec4f();
  var c5_0 = vec4f();
  var c6_0 = vec4f();
  var c7_0 = vec4f();
  var c8_0 = vec4f();
  var c9_0 = vec4f();
  var c10_0 = vec4f();
  var c11_0 = vec4f();
  var c12_0 = vec4f();
  var c13_0 = vec4f();
  var c14_0 = vec4f();
  var c15_0 = vec4f();
  var c16_0 = vec4f();
  var c17_0 = vec4f();
  var c18_0 = vec4f();
  var c19_0 = vec4f();
  var c20_0 = vec4f();
  var c21_0 = vec4f();
  var c22_0 = vec4f();
  var c23_0 = vec4f();
  var c24_0 = vec4f();
  var c25_0 = vec4f();
  var c26_0 = vec4f();
  var c27_0 = vec4f();
  var c28_0 = vec4f();
  var c29_0 = vec4f();
  var c30_0 = vec4f();
  var c31_0 = vec4f();
  var ai = (*problem).weightOffset + i / 4u;
  var bj = (*problem).inputOffset + min(j / 4u, (n - 1u) / 4u);
  for (var step = 0u; step < k; step += 2u) {
    // The second of two rows may be missing.
    let live = step + 1u < k;
    let aNext = select(0u, aStride, live);
    let bNext = select(0u, bStride, live);
    let b0_0 = input(bj + 0u);
    let b1_0 = input(bj + bNext + 0u);
    let x0 = weights[ai + lane + 0u];
    let y0 = select(vec4f(), weights[ai + aNext + lane + 0u], live);
    let p0 = subgroupBroadcast(x0, 0u); let q0 = subgroupBroadcast(y0, 0u);
    c0_0 = fma(vec4f(q0.x), b1_0, fma(vec4f(p0.x), b0_0, c0_0));
    c1_0 = fma(vec4f(q0.y), b1_0, fma(vec4f(p0.y), b0_0, c1_0));
    c2_0 = fma(vec4f(q0.z), b1_0, fma(vec4f(p0.z), b0_0, c2_0));
    c3_0 = fma(vec4f(q0.w), b1_0, fma(vec4f(p0.w), b0_0, c3_0));
    let p1 = subgroupBroadcast(x0, 1u); let q1 = subgroupBroadcast(y0, 1u);
    c4_0 = fma(vec4f(q1.x), b1_0, fma(vec4f(p1.x), b0_0, c4_0));
    c5_0 = fma(vec4f(q1.y), b1_0, fma(vec4f(p1.y), b0_0, c5_0));
    c6_0 = fma(vec4f(q1.z), b1_0, fma(vec4f(p1.z), b0_0, c6_0));
    c7_0 = fma(vec4f(q1.w), b1_0, fma(vec4f(p1.w), b0_0, c7_0));
    let p2 = subgroupBroadcast(x0, 2u); let q2 = subgroupBroadcast(y0, 2u);
    c8_0 = fma(vec4f(q2.x), b1_0, fma(vec4f(p2.x), b0_0, c8_0));
    c9_0 = fma(vec4f(q2.y), b1_0, fma(vec4f(p2.y), b0_0, c9_0));
    c10_0 = fma(vec4f(q2.z), b1_0, fma(vec4f(p2.z), b0_0, c10_0));
    c11_0 = fma(vec4f(q2.w), b1_0, fma(vec4f(p2.w), b0_0, c11_0));
    let p3 = subgroupBroadcast(x0, 3u); let q3 = subgroupBroadcast(y0, 3u);
    c12_0 = fma(vec4f(q3.x), b1_0, fma(vec4f(p3.x), b0_0, c12_0));
    c13_0 = fma(vec4f(q3.y), b1_0, fma(vec4f(p3.y), b0_0, c13_0));
    c14_0 = fma(vec4f(q3.z), b1_0, fma(vec4f(p3.z), b0_0, c14_0));
    c15_0 = fma(vec4f(q3.w), b1_0, fma(vec4f(p3.w), b0_0, c15_0));
    let p4 = subgroupBroadcast(x0, 4u); let q4 = subgroupBroadcast(y0, 4u);
    c16_0 = fma(vec4f(q4.x), b1_0, fma(vec4f(p4.x), b0_0, c16_0));
    c17_0 = fma(vec4f(q4.y), b1_0, fma(vec4f(p4.y), b0_0, c17_0));
    c18_0 = fma(vec4f(q4.z), b1_0, fma(vec4f(p4.z), b0_0, c18_0));
    c19_0 = fma(vec4f(q4.w), b1_0, fma(vec4f(p4.w), b0_0, c19_0));
    let p5 = subgroupBroadcast(x0, 5u); let q5 = subgroupBroadcast(y0, 5u);
    c20_0 = fma(vec4f(q5.x), b1_0, fma(vec4f(p5.x), b0_0, c20_0));
    c21_0 = fma(vec4f(q5.y), b1_0, fma(vec4f(p5.y), b0_0, c21_0));
    c22_0 = fma(vec4f(q5.z), b1_0, fma(vec4f(p5.z), b0_0, c22_0));
    c23_0 = fma(vec4f(q5.w), b1_0, fma(vec4f(p5.w), b0_0, c23_0));
    let p6 = subgroupBroadcast(x0, 6u); let q6 = subgroupBroadcast(y0, 6u);
    c24_0 = fma(vec4f(q6.x), b1_0, fma(vec4f(p6.x), b0_0, c24_0));
    c25_0 = fma(vec4f(q6.y), b1_0, fma(vec4f(p6.y), b0_0, c25_0));
    c26_0 = fma(vec4f(q6.z), b1_0, fma(vec4f(p6.z), b0_0, c26_0));
    c27_0 = fma(vec4f(q6.w), b1_0, fma(vec4f(p6.w), b0_0, c27_0));
    let p7 = subgroupBroadcast(x0, 7u); let q7 = subgroupBroadcast(y0, 7u);
    c28_0 = fma(vec4f(q7.x), b1_0, fma(vec4f(p7.x), b0_0, c28_0));
    c29_0 = fma(vec4f(q7.y), b1_0, fma(vec4f(p7.y), b0_0, c29_0));
    c30_0 = fma(vec4f(q7.z), b1_0, fma(vec4f(p7.z), b0_0, c30_0));
    c31_0 = fma(vec4f(q7.w), b1_0, fma(vec4f(p7.w), b0_0, c31_0));
    ai += 2u * aStride;
    bj += 2u * bStride;
  }

  if (j >= n) {
    return;
  }

  var block = array<f32, 128>(
    c0_0.x, c0_0.y, c0_0.z, c0_0.w,
    c1_0.x, c1_0.y, c1_0.z, c1_0.w,
    c2_0.x, c2_0.y, c2_0.z, c2_0.w,
    c3_0.x, c3_0.y, c3_0.z, c3_0.w,
    c4_0.x, c4_0.y, c4_0.z, c4_0.w,
    c5_0.x, c5_0.y, c5_0.z, c5_0.w,
    c6_0.x, c6_0.y, c6_0.z, c6_0.w,
    c7_0.x, c7_0.y, c7_0.z, c7_0.w,
    c8_0.x, c8_0.y, c8_0.z, c8_0.w,
    c9_0.x, c9_0.y, c9_0.z, c9_0.w,
    c10_0.x, c10_0.y, c10_0.z, c10_0.w,
    c11_0.x, c11_0.y, c11_0.z, c11_0.w,
    c12_0.x, c12_0.y, c12_0.z, c12_0.w,
    c13_0.x, c13_0.y, c13_0.z, c13_0.w,
    c14_0.x, c14_0.y, c14_0.z, c14_0.w,
    c15_0.x, c15_0.y, c15_0.z, c15_0.w,
    c16_0.x, c16_0.y, c16_0.z, c16_0.w,
    c17_0.x, c17_0.y, c17_0.z, c17_0.w,
    c18_0.x, c18_0.y, c18_0.z, c18_0.w,
    c19_0.x, c19_0.y, c19_0.z, c19_0.w,
    c20_0.x, c20_0.y, c20_0.z, c20_0.w,
    c21_0.x, c21_0.y, c21_0.z, c21_0.w,
    c22_0.x, c22_0.y, c22_0.z, c22_0.w,
    c23_0.x, c23_0.y, c23_0.z, c23_0.w,
    c24_0.x, c24_0.y, c24_0.z, c24_0.w,
    c25_0.x, c25_0.y, c25_0.z, c25_0.w,
    c26_0.x, c26_0.y, c26_0.z, c26_0.w,
    c27_0.x, c27_0.y, c27_0.z, c27_0.w,
    c28_0.x, c28_0.y, c28_0.z, c28_0.w,
    c29_0.x, c29_0.y, c29_0.z, c29_0.w,
    c30_0.x, c30_0.y, c30_0.z, c30_0.w,
    c31_0.x, c31_0.y, c31_0.z, c31_0.w,
  );
  let own = problems[index];
  // Pieces of four numbers. Loops, from a number that the compiler does not know: unrolled stores take a software
  // adapter seconds to compile.
  let first = number * PIECES;
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    let at = select(vec2u(part * 4u / COLS, part * 4u % COLS), vec2u(part / 8u, part % 8u * 4u), true);
    let row = select(i, j, true) + at.x;
    let column = select(j, i, true) + at.y;
    if (row >= n || column >= m) {
      continue;
    }
    let source = select(at.x * COLS + at.y, at.y * COLS + at.x, true);
    let step = select(1u, COLS, true);
    let place = (*problem).rowsOffset + row * (*problem).rowsStride + column / 4u;
    var old = vec4f();
    if (own.adds != 0u || column + 4u > m) {
      old = rows[place];
    }
    let sum = vec4f(block[source], block[source + step], block[source + 2u * step], block[source + 3u * step]);
    var result = sum;
    if (own.adds != 0u) {
      result += old;
    }
    result = finished(own, result, row, column);
    if (own.turns != 0u) {
      block[source] = result.x; block[source + step] = result.y; block[source + 2u * step] = result.z; block[source + 3u * step] = result.w;
    }
    rows[place] = select(old, result, vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(m));
  }
  if ((*problem).turns == 0u) {
    return;
  }
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    let at = select(vec2u(part * 4u / COLS, part * 4u % COLS), vec2u(part / 8u, part % 8u * 4u), false);
    let row = select(i, j, false) + at.x;
    let column = select(j, i, false) + at.y;
    if (row >= m || column >= n) {
      continue;
    }
    let source = select(at.x * COLS + at.y, at.y * COLS + at.x, false);
    let step = select(1u, COLS, false);
    let place = (*problem).turnedOffset + row * (*problem).turnedStride + column / 4u;
    var old = vec4f();
    if (column + 4u > n) {
      old = turned[place];
    }
    let sum = vec4f(block[source], block[source + step], block[source + 2u * step], block[source + 3u * step]);
    let result = sum;
    turned[place] = select(old, result, vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(n));
  }
}
