// C ← α AᵀB + β C, with A stored k × m and B stored k × n, so that both are read along rows, four numbers at a time.
//
// Layout: offsets and strides of a and b count vec4f; those of c count vec4f too, and C may be stored transposed
// (n × m). Rows start on a vec4f; numbers beyond the last column of C are left as they are.
//
// For GPUs: a workgroup computes a tile of 64 × 64 numbers, and its threads bring the numbers of A and B that
// it takes to workgroup memory together. A thread computes 8 × 4 numbers in registers, blocks of 4 × 4 that lie a whole
// grid of threads apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// src/linalg/products/matmul.ts, many problems at once.
//
// Written by `npm run shaders` from source/matmul.wgsl.

// Four numbers of A and B as they are stored: f32, or f16 in the form that src/linalg/products/half.ts makes of this text. Sums are
// of f32 either way.
alias Operand = vec4f;

struct MatmulProblem {
  first: u32,
  tileCols: u32,
  m: u32,
  n: u32,
  k: u32,
  aOffset: u32,
  aStride: u32,
  bOffset: u32,
  bStride: u32,
  cOffset: u32,
  cStride: u32,
  transposed: u32,
  alpha: f32,
  beta: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<MatmulProblem>;
@group(0) @binding(1) var<storage, read> a: array<Operand>;
@group(0) @binding(2) var<storage, read> b: array<Operand>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

// Rows of A and B in workgroup memory at a time.
const DEPTH = 32u;
// Threads of a workgroup.
const THREADS = 128u;
// vec4f of a row of the tile, and of a column.
const DOWN = 16u;
const ACROSS = 16u;

// aRows holds what becomes the rows of the tile, bRows what becomes its columns. One set of each: larger tiles are worth more than
// a barrier less.
var<workgroup> aRows: array<Operand, DEPTH * DOWN>;
var<workgroup> bRows: array<Operand, DEPTH * ACROSS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn loadA(at: u32, live: bool) -> Operand {
  if (live) {
    return a[at];
  }
  return Operand();
}

fn loadB(at: u32, live: bool) -> Operand {
  if (live) {
    return b[at];
  }
  return Operand();
}

// Writes 8 rows of 4 numbers, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, rows: u32, cols: u32, values: array<vec4f, 8>) {
  var block = values;
  let problem = &problems[index];
  let alpha = (*problem).alpha;
  let beta = (*problem).beta;
  let end = 8u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 4u * 32u + part % 4u;
    let j = column;
    if (i >= rows || j >= cols) {
      continue;
    }
    let at = (*problem).cOffset + i * (*problem).cStride + j / 4u;
    var result = alpha * block[part];
    if (beta != 0.0) {
      result += beta * c[at];
    }
    if (j + 4u > cols) {
      result = select(c[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(cols));
    }
    c[at] = result;
  }
}

// Writes 4 rows of 8 numbers of the transpose, the first at (row, column). A loop, not unrolled text: stores are a small
// part of the work, and copies of them would take a software adapter seconds to compile.
fn storeTurned(index: u32, row: u32, column: u32, rows: u32, cols: u32, values: array<vec4f, 8>) {
  var block = values;
  let problem = &problems[index];
  let alpha = (*problem).alpha;
  let beta = (*problem).beta;
  let end = 8u;
  for (var part = 0u; part < end; part++) {
    let i = row + part / 2u;
    let j = column + part % 2u * 32u;
    if (i >= rows || j >= cols) {
      continue;
    }
    let at = (*problem).cOffset + i * (*problem).cStride + j / 4u;
    var result = alpha * block[part];
    if (beta != 0.0) {
      result += beta * c[at];
    }
    if (j + 4u > cols) {
      result = select(c[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(cols));
    }
    c[at] = result;
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
  let aStride = (*problem).aStride;
  let bStride = (*problem).bStride;
  let k = (*problem).k;
  var aAt = (*problem).aOffset + aRow * aStride + top / 4u + own % DOWN;
  var bAt = (*problem).bOffset + bRow * bStride + left / 4u + own % ACROSS;
  var next = 0u;
  var a0 = loadA(aAt + 0u * aStride, aLive && next + aRow + 0u < k);
  var a1 = loadA(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
  var a2 = loadA(aAt + 16u * aStride, aLive && next + aRow + 16u < k);
  var a3 = loadA(aAt + 24u * aStride, aLive && next + aRow + 24u < k);
  var b0 = loadB(bAt + 0u * bStride, bLive && next + bRow + 0u < k);
  var b1 = loadB(bAt + 8u * bStride, bLive && next + bRow + 8u < k);
  var b2 = loadB(bAt + 16u * bStride, bLive && next + bRow + 16u < k);
  var b3 = loadB(bAt + 24u * bStride, bLive && next + bRow + 24u < k);

  let across = own % 16u;
  let down = own / 16u;
  var c0_0 = vec4f();
  var c1_0 = vec4f();
  var c2_0 = vec4f();
  var c3_0 = vec4f();
  var c4_0 = vec4f();
  var c5_0 = vec4f();
  var c6_0 = vec4f();
  var c7_0 = vec4f();
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
    a1 = loadA(aAt + 8u * aStride, aLive && next + aRow + 8u < k);
    a2 = loadA(aAt + 16u * aStride, aLive && next + aRow + 16u < k);
    a3 = loadA(aAt + 24u * aStride, aLive && next + aRow + 24u < k);
    b0 = loadB(bAt + 0u * bStride, bLive && next + bRow + 0u < k);
    b1 = loadB(bAt + 8u * bStride, bLive && next + bRow + 8u < k);
    b2 = loadB(bAt + 16u * bStride, bLive && next + bRow + 16u < k);
    b3 = loadB(bAt + 24u * bStride, bLive && next + bRow + 24u < k);
    let rows = min(DEPTH, k - step);
    for (var done = 0u; done < rows; done++) {
      let p_0 = vec4f(aRows[done * DOWN + down + 0u]);
      let p_1 = vec4f(aRows[done * DOWN + down + 8u]);
      let q_0 = vec4f(bRows[done * ACROSS + across + 0u]);
      c0_0 = fma(vec4f(p_0.x), q_0, c0_0);
      c1_0 = fma(vec4f(p_0.y), q_0, c1_0);
      c2_0 = fma(vec4f(p_0.z), q_0, c2_0);
      c3_0 = fma(vec4f(p_0.w), q_0, c3_0);
      c4_0 = fma(vec4f(p_1.x), q_0, c4_0);
      c5_0 = fma(vec4f(p_1.y), q_0, c5_0);
      c6_0 = fma(vec4f(p_1.z), q_0, c6_0);
      c7_0 = fma(vec4f(p_1.w), q_0, c7_0);
    }
    // Everyone is done with these rows.
    workgroupBarrier();
  }

  let i = top + 4u * down;
  let j = left + 4u * across;

  if ((*problem).transposed == 0u) {
    var plain = array<vec4f, 8>(
      c0_0,
      c1_0,
      c2_0,
      c3_0,
      c4_0,
      c5_0,
      c6_0,
      c7_0,
    );
    store(index, i, j, m, n, plain);
  } else {
    let turned0_0 = transpose(mat4x4f(c0_0, c1_0, c2_0, c3_0));
    let turned1_0 = transpose(mat4x4f(c4_0, c5_0, c6_0, c7_0));
    var turned = array<vec4f, 8>(
      turned0_0[0], turned1_0[0],
      turned0_0[1], turned1_0[1],
      turned0_0[2], turned1_0[2],
      turned0_0[3], turned1_0[3],
    );
    storeTurned(index, j, i, n, m, turned);
  }
}
