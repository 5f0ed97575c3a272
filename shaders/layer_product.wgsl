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
// A thread computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
// src/layers/layer-product.ts, many problems at once.
//
// Written by `npm run shaders` from source/layer_product.wgsl.

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

override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

// Writes 8 rows of 8 numbers of the transpose, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeRows(index: u32, row: u32, column: u32, values: array<vec4f, 16>) -> array<vec4f, 16> {
  var block = values;
  let problem = &problems[index];
  let own = problems[index];
  // Their number, but one that the compiler does not know.
  let end = select(0u, 16u, row < (*problem).n);
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 4u + part / 2u % 4u;
    let j = column + part % 2u * 4u;
    if (i >= (*problem).n || j >= (*problem).m) {
      continue;
    }
    let at = (*problem).rowsOffset + i * (*problem).rowsStride + j / 4u;
    var result = block[part];
    if (own.adds != 0u) {
      result += rows[at];
    }
    result = finished(own, result, i, j);
    block[part] = result;
    if (j + 4u > (*problem).m) {
      result = select(rows[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u((*problem).m));
    }
    rows[at] = result;
  }
  return block;
}

// Writes 8 rows of 8 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeTurned(index: u32, row: u32, column: u32, values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
  // Their number, but one that the compiler does not know.
  let end = select(0u, 16u, row < (*problem).m);
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 4u + part / 2u % 4u;
    let j = column + part % 2u * 4u;
    if (i >= (*problem).m || j >= (*problem).n) {
      continue;
    }
    let at = (*problem).turnedOffset + i * (*problem).turnedStride + j / 4u;
    var result = block[part];
    if (j + 4u > (*problem).n) {
      result = select(turned[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u((*problem).n));
    }
    turned[at] = result;
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
  let m = (*problem).m;
  let n = (*problem).n;
  let tile = number - (*problem).first;
  let i = ((tile / (*problem).tileCols) * THREADS_I + thread.y) * 8u;
  let j = ((tile % (*problem).tileCols) * THREADS_J + thread.x) * 8u;
  if (i >= m || j >= n) {
    return;
  }
  let aStride = (*problem).weightStride;
  let bStride = (*problem).inputStride;
  let k = (*problem).k;

  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var ai = (*problem).weightOffset + i / 4u;
  var bj = (*problem).inputOffset + j / 4u;
  for (var step = 0u; step < k; step++) {
    let b_0 = input(bj);
    let b_1 = input(bj + 1u);
    let a_0 = weights[ai];
    let a_1 = weights[ai + 1u];
    c0_0 = fma(vec4f(a_0.x), b_0, c0_0); c0_1 = fma(vec4f(a_0.x), b_1, c0_1);
    c1_0 = fma(vec4f(a_0.y), b_0, c1_0); c1_1 = fma(vec4f(a_0.y), b_1, c1_1);
    c2_0 = fma(vec4f(a_0.z), b_0, c2_0); c2_1 = fma(vec4f(a_0.z), b_1, c2_1);
    c3_0 = fma(vec4f(a_0.w), b_0, c3_0); c3_1 = fma(vec4f(a_0.w), b_1, c3_1);
    c4_0 = fma(vec4f(a_1.x), b_0, c4_0); c4_1 = fma(vec4f(a_1.x), b_1, c4_1);
    c5_0 = fma(vec4f(a_1.y), b_0, c5_0); c5_1 = fma(vec4f(a_1.y), b_1, c5_1);
    c6_0 = fma(vec4f(a_1.z), b_0, c6_0); c6_1 = fma(vec4f(a_1.z), b_1, c6_1);
    c7_0 = fma(vec4f(a_1.w), b_0, c7_0); c7_1 = fma(vec4f(a_1.w), b_1, c7_1);
    ai += aStride;
    bj += bStride;
  }

  let results0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
  let results0_1 = transpose(mat4x4f(c0_1, c1_1, c2_1, c3_1));
  let results1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
  let results1_1 = transpose(mat4x4f(c4_1, c5_1, c6_1, c7_1));
  var results = array<vec4f, 16>(
    results0_0[0], results1_0[0],
    results0_0[1], results1_0[1],
    results0_0[2], results1_0[2],
    results0_0[3], results1_0[3],
    results0_1[0], results1_1[0],
    results0_1[1], results1_1[1],
    results0_1[2], results1_1[2],
    results0_1[3], results1_1[3],
  );
  let block = storeRows(index, j, i, results);
  if ((*problem).turns != 0u) {
    let columns0_0 = transpose(mat4x4f(block[0], block[2], block[4], block[6]));
    let columns0_1 = transpose(mat4x4f(block[1], block[3], block[5], block[7]));
    let columns1_0 = transpose(mat4x4f(block[8], block[10], block[12], block[14]));
    let columns1_1 = transpose(mat4x4f(block[9], block[11], block[13], block[15]));
    var columns = array<vec4f, 16>(
      columns0_0[0], columns1_0[0],
      columns0_0[1], columns1_0[1],
      columns0_0[2], columns1_0[2],
      columns0_0[3], columns1_0[3],
      columns0_1[0], columns1_1[0],
      columns0_1[1], columns1_1[1],
      columns0_1[2], columns1_1[2],
      columns0_1[3], columns1_1[3],
    );
    storeTurned(index, i, j, columns);
  }
}
