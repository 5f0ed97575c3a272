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
// For GPUs: a workgroup computes a tile of 128 × 128 numbers, and its threads bring the numbers of A and X that
// it takes to workgroup memory together. A thread computes 16 × 8 numbers in registers, blocks of 4 × 4 that lie a whole
// grid of threads apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
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

// Rows of A and X in workgroup memory at a time.
const DEPTH = 16u;
// Threads of a workgroup.
const THREADS = 128u;
// vec4f of a row of the tile, and of a column.
const DOWN = 32u;
const ACROSS = 32u;

// aRows holds what becomes the rows of the tile, bRows what becomes its columns. One set of each: larger tiles are worth more than
// a barrier less.
var<workgroup> aRows: array<vec4f, DEPTH * DOWN>;
var<workgroup> bRows: array<vec4f, DEPTH * ACROSS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn loadA(at: u32, live: bool) -> vec4f {
  if (live) {
    return weights[at];
  }
  return vec4f();
}

fn loadB(at: u32, live: bool) -> vec4f {
  if (live) {
    return input(at);
  }
  return vec4f();
}

// Writes 8 rows of 16 numbers of the transpose, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeRows(index: u32, row: u32, column: u32, values: array<vec4f, 32>) -> array<vec4f, 32> {
  var block = values;
  let problem = &problems[index];
  let own = problems[index];
  // Their number, but one that the compiler does not know.
  let end = select(0u, 32u, row < (*problem).n);
  for (var part = 0u; part < end; part++) {
    let i = row + part / 16u * 64u + part / 4u % 4u;
    let j = column + part % 4u * 32u;
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

// Writes 16 rows of 8 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeTurned(index: u32, row: u32, column: u32, values: array<vec4f, 32>) {
  var block = values;
  let problem = &problems[index];
  let end = 32u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 8u * 32u + part / 2u % 4u;
    let j = column + part % 2u * 64u;
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
  let m = (*problem).m;
  let n = (*problem).n;
  let tile = number - (*problem).first;
  let top = tile / (*problem).tileCols * 4u * DOWN;
  let left = tile % (*problem).tileCols * 4u * ACROSS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= m) {
    return;
  }

  // A thread brings 4 vec4f of A and 4 of B, each a few rows below the last.
  let aRow = own / DOWN;
  let bRow = own / ACROSS;
  let aLive = top + 4u * (own % DOWN) < m;
  let bLive = left + 4u * (own % ACROSS) < n;
  let aStride = (*problem).weightStride;
  let bStride = (*problem).inputStride;
  let k = (*problem).k;
  var aAt = (*problem).weightOffset + aRow * aStride + top / 4u + own % DOWN;
  var bAt = (*problem).inputOffset + bRow * bStride + left / 4u + own % ACROSS;
  var next = 0u;
  var a0 = loadA(aAt + 0u * aStride, aLive && next + aRow + 0u < k);
  var a1 = loadA(aAt + 4u * aStride, aLive && next + aRow + 4u < k);
  var a2 = loadA(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
  var a3 = loadA(aAt + 12u * aStride, aLive && next + aRow + 12u < k);
  var b0 = loadB(bAt + 0u * bStride, bLive && next + bRow + 0u < k);
  var b1 = loadB(bAt + 4u * bStride, bLive && next + bRow + 4u < k);
  var b2 = loadB(bAt + 8u * bStride, bLive && next + bRow + 8u < k);
  var b3 = loadB(bAt + 12u * bStride, bLive && next + bRow + 12u < k);

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
    bAt += DEPTH * bStride;
    a0 = loadA(aAt + 0u * aStride, aLive && next + aRow + 0u < k);
    a1 = loadA(aAt + 4u * aStride, aLive && next + aRow + 4u < k);
    a2 = loadA(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
    a3 = loadA(aAt + 12u * aStride, aLive && next + aRow + 12u < k);
    b0 = loadB(bAt + 0u * bStride, bLive && next + bRow + 0u < k);
    b1 = loadB(bAt + 4u * bStride, bLive && next + bRow + 4u < k);
    b2 = loadB(bAt + 8u * bStride, bLive && next + bRow + 8u < k);
    b3 = loadB(bAt + 12u * bStride, bLive && next + bRow + 12u < k);
    let rows = min(DEPTH, k - step);
    for (var done = 0u; done < rows; done++) {
      let p_0 = aRows[done * DOWN + down + 0u];
      let p_1 = aRows[done * DOWN + down + 8u];
      let p_2 = aRows[done * DOWN + down + 16u];
      let p_3 = aRows[done * DOWN + down + 24u];
      let q_0 = bRows[done * ACROSS + across + 0u];
      let q_1 = bRows[done * ACROSS + across + 16u];
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

  let results0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
  let results0_1 = transpose(mat4x4f(c0_1, c1_1, c2_1, c3_1));
  let results1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
  let results1_1 = transpose(mat4x4f(c4_1, c5_1, c6_1, c7_1));
  let results2_0 = transpose(mat4x4f(c8_0, c9_0, c10_0, c11_0));
  let results2_1 = transpose(mat4x4f(c8_1, c9_1, c10_1, c11_1));
  let results3_0 = transpose(mat4x4f(c12_0, c13_0, c14_0, c15_0));
  let results3_1 = transpose(mat4x4f(c12_1, c13_1, c14_1, c15_1));
  var results = array<vec4f, 32>(
    results0_0[0], results1_0[0], results2_0[0], results3_0[0],
    results0_0[1], results1_0[1], results2_0[1], results3_0[1],
    results0_0[2], results1_0[2], results2_0[2], results3_0[2],
    results0_0[3], results1_0[3], results2_0[3], results3_0[3],
    results0_1[0], results1_1[0], results2_1[0], results3_1[0],
    results0_1[1], results1_1[1], results2_1[1], results3_1[1],
    results0_1[2], results1_1[2], results2_1[2], results3_1[2],
    results0_1[3], results1_1[3], results2_1[3], results3_1[3],
  );
  let block = storeRows(index, j, i, results);
  if ((*problem).turns != 0u) {
    let columns0_0 = transpose(mat4x4f(block[0], block[4], block[8], block[12]));
    let columns0_1 = transpose(mat4x4f(block[1], block[5], block[9], block[13]));
    let columns0_2 = transpose(mat4x4f(block[2], block[6], block[10], block[14]));
    let columns0_3 = transpose(mat4x4f(block[3], block[7], block[11], block[15]));
    let columns1_0 = transpose(mat4x4f(block[16], block[20], block[24], block[28]));
    let columns1_1 = transpose(mat4x4f(block[17], block[21], block[25], block[29]));
    let columns1_2 = transpose(mat4x4f(block[18], block[22], block[26], block[30]));
    let columns1_3 = transpose(mat4x4f(block[19], block[23], block[27], block[31]));
    var columns = array<vec4f, 32>(
      columns0_0[0], columns1_0[0],
      columns0_0[1], columns1_0[1],
      columns0_0[2], columns1_0[2],
      columns0_0[3], columns1_0[3],
      columns0_1[0], columns1_1[0],
      columns0_1[1], columns1_1[1],
      columns0_1[2], columns1_1[2],
      columns0_1[3], columns1_1[3],
      columns0_2[0], columns1_2[0],
      columns0_2[1], columns1_2[1],
      columns0_2[2], columns1_2[2],
      columns0_2[3], columns1_2[3],
      columns0_3[0], columns1_3[0],
      columns0_3[1], columns1_3[1],
      columns0_3[2], columns1_3[2],
      columns0_3[3], columns1_3[3],
    );
    storeTurned(index, i, j, columns);
  }
}
