// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
// For GPUs: a workgroup computes a tile of 64 × 64 numbers, and its threads bring the numbers of R that
// it takes to workgroup memory together. A thread computes 8 × 4 numbers in registers, blocks of 4 × 4 that lie a whole
// grid of threads apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
// src/linalg/invert.ts, many matrices at once.
//
// Written by `npm run shaders` from source/invert_update.wgsl.

struct SweepProblem {
  first: u32,
  size: u32,
  width: u32,
  block: u32,
  workOffset: u32,
  pivotOffset: u32,
  oldOffset: u32,
  newOffset: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<SweepProblem>;
@group(0) @binding(1) var<storage, read> product: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> work: array<vec4f>;

// Rows of R in workgroup memory at a time.
const DEPTH = 32u;
// Threads of a workgroup.
const THREADS = 128u;
// vec4f of a row of the tile, and of a column.
const DOWN = 16u;
const ACROSS = 16u;

// aRows holds what becomes the rows of the tile, bRows what becomes its columns. One set of each: larger tiles are worth more than
// a barrier less.
var<workgroup> aRows: array<vec4f, DEPTH * DOWN>;
var<workgroup> bRows: array<vec4f, DEPTH * ACROSS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn load(at: u32, live: bool) -> vec4f {
  if (live) {
    return product[at];
  }
  return vec4f();
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
  let size = (*problem).size;
  let tileCols = (size + 4u * ACROSS - 1u) / (4u * ACROSS);
  let tile = number - (*problem).first;
  let top = tile / tileCols * 4u * DOWN;
  let left = tile % tileCols * 4u * ACROSS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= size || left > top) {
    return;
  }

  // A thread brings 4 vec4f of A and 4 of B, each a few rows below the last.
  let aRow = own / DOWN;
  let bRow = own / ACROSS;
  let aLive = top + 4u * (own % DOWN) < size;
  let bLive = left + 4u * (own % ACROSS) < size;
  let stride = size / 4u;
  let width = (*problem).width;
  var aAt = (*problem).newOffset / 4u + aRow * stride + top / 4u + own % DOWN;
  var bAt = (*problem).newOffset / 4u + bRow * stride + left / 4u + own % ACROSS;
  var next = 0u;
  var a0 = load(aAt + 0u * stride, aLive && next + aRow + 0u < width);
  var a1 = load(aAt + 8u * stride, aLive && next + aRow + 8u < width);
  var a2 = load(aAt + 16u * stride, aLive && next + aRow + 16u < width);
  var a3 = load(aAt + 24u * stride, aLive && next + aRow + 24u < width);
  var b0 = load(bAt + 0u * stride, bLive && next + bRow + 0u < width);
  var b1 = load(bAt + 8u * stride, bLive && next + bRow + 8u < width);
  var b2 = load(bAt + 16u * stride, bLive && next + bRow + 16u < width);
  var b3 = load(bAt + 24u * stride, bLive && next + bRow + 24u < width);

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
  for (var step = 0u; step < width; step += DEPTH) {
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
    aAt += DEPTH * stride;
    bAt += DEPTH * stride;
    a0 = load(aAt + 0u * stride, aLive && next + aRow + 0u < width);
    a1 = load(aAt + 8u * stride, aLive && next + aRow + 8u < width);
    a2 = load(aAt + 16u * stride, aLive && next + aRow + 16u < width);
    a3 = load(aAt + 24u * stride, aLive && next + aRow + 24u < width);
    b0 = load(bAt + 0u * stride, bLive && next + bRow + 0u < width);
    b1 = load(bAt + 8u * stride, bLive && next + bRow + 8u < width);
    b2 = load(bAt + 16u * stride, bLive && next + bRow + 16u < width);
    b3 = load(bAt + 24u * stride, bLive && next + bRow + 24u < width);
    let rows = min(DEPTH, width - step);
    for (var done = 0u; done < rows; done++) {
      let p_0 = aRows[done * DOWN + down + 0u];
      let p_1 = aRows[done * DOWN + down + 8u];
      let q_0 = bRows[done * ACROSS + across + 0u];
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

  let block = (*problem).block;
  let end = block + width;
  var update = array<vec4f, 8>(
    c0_0,
    c1_0,
    c2_0,
    c3_0,
    c4_0,
    c5_0,
    c6_0,
    c7_0,
  );
  // From i on, which the compiler does not know: unrolled stores take seconds to compile.
  for (var part = 0u; part < 8u; part++) {
    let row = i + part / 4u * 32u + part / 1u % 4u;
    let column = j + part % 1u * 64u;
    // Nobody reads what lies above the diagonal.
    if (row >= size || column > row) {
      continue;
    }
    let replaced = (row >= block && row < end) || (column >= block && column < end);
    let at = (*problem).workOffset / 4u + row * stride + column / 4u;
    work[at] = select(work[at], vec4f(), replaced) - update[part];
  }
}
