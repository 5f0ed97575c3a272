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
// For GPUs, where results are small and sums are long: a workgroup computes 8 × 8 numbers, each thread 4 × 4 of them over
// each 64th row of A and X. What the threads of one place have is then added up, in a fixed order. Dispatched by
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

const SLICES = 64u;
const GRID = 4u;

// The sums of the slices, 4 threads' after each other.
var<workgroup> sums: array<array<vec4f, 4>, SLICES * GRID>;

// Writes 4 rows of 4 numbers of the transpose, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeRows(index: u32, row: u32, column: u32, values: array<vec4f, 4>) -> array<vec4f, 4> {
  var block = values;
  let problem = &problems[index];
  let own = problems[index];
  // Their number, but one that the compiler does not know.
  let end = select(0u, 4u, row < (*problem).n);
  for (var part = 0u; part < end; part++) {
    let i = row + part;
    let j = column;
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

// Writes 4 rows of 4 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeTurned(index: u32, row: u32, column: u32, values: array<vec4f, 4>) {
  var block = values;
  let problem = &problems[index];
  let end = 4u;
  for (var part = 0u; part < end; part++) {
    let i = row + part;
    let j = column;
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
  let m = (*problem).m;
  let n = (*problem).n;
  let tile = number - (*problem).first;
  let top = tile / (*problem).tileCols * 8u;
  let left = tile % (*problem).tileCols * 8u;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= m) {
    return;
  }
  let slice = own / GRID;
  let i = top + 4u * (own % GRID / 2u);
  let j = left + 4u * (own % 2u);
  let aStride = (*problem).weightStride;
  let bStride = (*problem).inputStride;
  let k = (*problem).k;

  var c0_0 = vec4f();
  var c1_0 = vec4f();
  var c2_0 = vec4f();
  var c3_0 = vec4f();
  if (i < m && j < n) {
    var ai = (*problem).weightOffset + slice * aStride + i / 4u;
    var bj = (*problem).inputOffset + slice * bStride + j / 4u;
    var step = slice;
    // Four rows on their way at a time: alone on its processor, a workgroup mostly waits for memory.
    for (; step + 3u * SLICES < k; step += 4u * SLICES) {
      let a0_0 = weights[ai + 0u * SLICES * aStride];
      let b0_0 = input(bj + 0u * SLICES * bStride);
      let a1_0 = weights[ai + 1u * SLICES * aStride];
      let b1_0 = input(bj + 1u * SLICES * bStride);
      let a2_0 = weights[ai + 2u * SLICES * aStride];
      let b2_0 = input(bj + 2u * SLICES * bStride);
      let a3_0 = weights[ai + 3u * SLICES * aStride];
      let b3_0 = input(bj + 3u * SLICES * bStride);
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
      bj += 4u * SLICES * bStride;
    }
    for (; step < k; step += SLICES) {
      let a_0 = weights[ai];
      let b_0 = input(bj);
      c0_0 = fma(vec4f(a_0.x), b_0, c0_0);
      c1_0 = fma(vec4f(a_0.y), b_0, c1_0);
      c2_0 = fma(vec4f(a_0.z), b_0, c2_0);
      c3_0 = fma(vec4f(a_0.w), b_0, c3_0);
      ai += SLICES * aStride;
      bj += SLICES * bStride;
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

  let results0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
  var results = array<vec4f, 4>(
    results0_0[0],
    results0_0[1],
    results0_0[2],
    results0_0[3],
  );
  let block = storeRows(index, j, i, results);
  if ((*problem).turns != 0u) {
    let columns0_0 = transpose(mat4x4f(block[0], block[1], block[2], block[3]));
    var columns = array<vec4f, 4>(
      columns0_0[0],
      columns0_0[1],
      columns0_0[2],
      columns0_0[3],
    );
    storeTurned(index, i, j, columns);
  }
}
