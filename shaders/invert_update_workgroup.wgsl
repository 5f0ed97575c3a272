// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
// For GPUs: a workgroup computes a tile of 8·THREADS × 8·THREADS numbers, and its threads bring the numbers of R that it
// takes to workgroup memory together. A thread computes 8 × 8 numbers in registers, four 4 × 4 blocks that lie 4·THREADS
// apart, so that neighbouring threads read, and write, neighbouring vec4f. Dispatched by
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

// Along each side of a workgroup; at most 16, as workgroup memory is no larger.
override THREADS: u32 = 8;
// Rows of R in workgroup memory at a time.
const DEPTH = 8u;

// Two sets of rows, used in turns, so that a step needs one barrier: a thread may fill one while others read the other.
// aRows holds what becomes the rows of the tile, bRows what becomes its columns.
var<workgroup> aRows: array<vec4f, 4 * DEPTH * THREADS>;
var<workgroup> bRows: array<vec4f, 4 * DEPTH * THREADS>;

// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn load(at: u32, live: bool) -> vec4f {
  if (live) {
    return product[at];
  }
  return vec4f();
}

@compute @workgroup_size(THREADS, THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
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
  let tileCols = (size + 8u * THREADS - 1u) / (8u * THREADS);
  let tile = number - (*problem).first;
  let top = tile / tileCols * 8u * THREADS;
  let left = tile % tileCols * 8u * THREADS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= size || left > top) {
    return;
  }

  // A thread brings one vec4f of a row to each operand, and where that is half of the rows, one of the other half.
  let row = own / (2u * THREADS);
  let quad = own % (2u * THREADS);
  let twice = THREADS < 2u * DEPTH;
  let half = THREADS / 2u;
  let aLive = top + 4u * quad < size;
  let bLive = left + 4u * quad < size;
  let stride = size / 4u;
  let width = (*problem).width;
  var next = row;
  var aAt = (*problem).newOffset / 4u + row * stride + top / 4u + quad;
  var bAt = (*problem).newOffset / 4u + row * stride + left / 4u + quad;
  var a0 = load(aAt, aLive && next < width);
  var b0 = load(bAt, bLive && next < width);
  var a1 = load(aAt + half * stride, twice && aLive && next + half < width);
  var b1 = load(bAt + half * stride, twice && bLive && next + half < width);

  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var filled = 0u;
  for (var step = 0u; step < width; step += DEPTH) {
    aRows[filled + own] = a0;
    bRows[filled + own] = b0;
    if (twice) {
      aRows[filled + own + THREADS * THREADS] = a1;
      bRows[filled + own + THREADS * THREADS] = b1;
    }
    workgroupBarrier();
    // The rows of the next step are on their way while these are multiplied.
    next += DEPTH;
    aAt += DEPTH * stride;
    bAt += DEPTH * stride;
    a0 = load(aAt, aLive && next < width);
    b0 = load(bAt, bLive && next < width);
    a1 = load(aAt + half * stride, twice && aLive && next + half < width);
    b1 = load(bAt + half * stride, twice && bLive && next + half < width);
    let rows = min(DEPTH, width - step);
    for (var done = 0u; done < rows; done += 4u) {
      let ai = filled + done * 2u * THREADS + thread.y;
      let bj = filled + done * 2u * THREADS + thread.x;
      let a0_0 = aRows[ai + 0u * THREADS]; let a0_1 = aRows[ai + 1u * THREADS];
      let b0_0 = bRows[bj + 0u * THREADS]; let b0_1 = bRows[bj + 1u * THREADS];
      c0_0 = fma(vec4f(a0_0.x), b0_0, c0_0); c0_1 = fma(vec4f(a0_0.x), b0_1, c0_1);
      c1_0 = fma(vec4f(a0_0.y), b0_0, c1_0); c1_1 = fma(vec4f(a0_0.y), b0_1, c1_1);
      c2_0 = fma(vec4f(a0_0.z), b0_0, c2_0); c2_1 = fma(vec4f(a0_0.z), b0_1, c2_1);
      c3_0 = fma(vec4f(a0_0.w), b0_0, c3_0); c3_1 = fma(vec4f(a0_0.w), b0_1, c3_1);
      c4_0 = fma(vec4f(a0_1.x), b0_0, c4_0); c4_1 = fma(vec4f(a0_1.x), b0_1, c4_1);
      c5_0 = fma(vec4f(a0_1.y), b0_0, c5_0); c5_1 = fma(vec4f(a0_1.y), b0_1, c5_1);
      c6_0 = fma(vec4f(a0_1.z), b0_0, c6_0); c6_1 = fma(vec4f(a0_1.z), b0_1, c6_1);
      c7_0 = fma(vec4f(a0_1.w), b0_0, c7_0); c7_1 = fma(vec4f(a0_1.w), b0_1, c7_1);
      let a1_0 = aRows[ai + 2u * THREADS]; let a1_1 = aRows[ai + 3u * THREADS];
      let b1_0 = bRows[bj + 2u * THREADS]; let b1_1 = bRows[bj + 3u * THREADS];
      c0_0 = fma(vec4f(a1_0.x), b1_0, c0_0); c0_1 = fma(vec4f(a1_0.x), b1_1, c0_1);
      c1_0 = fma(vec4f(a1_0.y), b1_0, c1_0); c1_1 = fma(vec4f(a1_0.y), b1_1, c1_1);
      c2_0 = fma(vec4f(a1_0.z), b1_0, c2_0); c2_1 = fma(vec4f(a1_0.z), b1_1, c2_1);
      c3_0 = fma(vec4f(a1_0.w), b1_0, c3_0); c3_1 = fma(vec4f(a1_0.w), b1_1, c3_1);
      c4_0 = fma(vec4f(a1_1.x), b1_0, c4_0); c4_1 = fma(vec4f(a1_1.x), b1_1, c4_1);
      c5_0 = fma(vec4f(a1_1.y), b1_0, c5_0); c5_1 = fma(vec4f(a1_1.y), b1_1, c5_1);
      c6_0 = fma(vec4f(a1_1.z), b1_0, c6_0); c6_1 = fma(vec4f(a1_1.z), b1_1, c6_1);
      c7_0 = fma(vec4f(a1_1.w), b1_0, c7_0); c7_1 = fma(vec4f(a1_1.w), b1_1, c7_1);
      let a2_0 = aRows[ai + 4u * THREADS]; let a2_1 = aRows[ai + 5u * THREADS];
      let b2_0 = bRows[bj + 4u * THREADS]; let b2_1 = bRows[bj + 5u * THREADS];
      c0_0 = fma(vec4f(a2_0.x), b2_0, c0_0); c0_1 = fma(vec4f(a2_0.x), b2_1, c0_1);
      c1_0 = fma(vec4f(a2_0.y), b2_0, c1_0); c1_1 = fma(vec4f(a2_0.y), b2_1, c1_1);
      c2_0 = fma(vec4f(a2_0.z), b2_0, c2_0); c2_1 = fma(vec4f(a2_0.z), b2_1, c2_1);
      c3_0 = fma(vec4f(a2_0.w), b2_0, c3_0); c3_1 = fma(vec4f(a2_0.w), b2_1, c3_1);
      c4_0 = fma(vec4f(a2_1.x), b2_0, c4_0); c4_1 = fma(vec4f(a2_1.x), b2_1, c4_1);
      c5_0 = fma(vec4f(a2_1.y), b2_0, c5_0); c5_1 = fma(vec4f(a2_1.y), b2_1, c5_1);
      c6_0 = fma(vec4f(a2_1.z), b2_0, c6_0); c6_1 = fma(vec4f(a2_1.z), b2_1, c6_1);
      c7_0 = fma(vec4f(a2_1.w), b2_0, c7_0); c7_1 = fma(vec4f(a2_1.w), b2_1, c7_1);
      let a3_0 = aRows[ai + 6u * THREADS]; let a3_1 = aRows[ai + 7u * THREADS];
      let b3_0 = bRows[bj + 6u * THREADS]; let b3_1 = bRows[bj + 7u * THREADS];
      c0_0 = fma(vec4f(a3_0.x), b3_0, c0_0); c0_1 = fma(vec4f(a3_0.x), b3_1, c0_1);
      c1_0 = fma(vec4f(a3_0.y), b3_0, c1_0); c1_1 = fma(vec4f(a3_0.y), b3_1, c1_1);
      c2_0 = fma(vec4f(a3_0.z), b3_0, c2_0); c2_1 = fma(vec4f(a3_0.z), b3_1, c2_1);
      c3_0 = fma(vec4f(a3_0.w), b3_0, c3_0); c3_1 = fma(vec4f(a3_0.w), b3_1, c3_1);
      c4_0 = fma(vec4f(a3_1.x), b3_0, c4_0); c4_1 = fma(vec4f(a3_1.x), b3_1, c4_1);
      c5_0 = fma(vec4f(a3_1.y), b3_0, c5_0); c5_1 = fma(vec4f(a3_1.y), b3_1, c5_1);
      c6_0 = fma(vec4f(a3_1.z), b3_0, c6_0); c6_1 = fma(vec4f(a3_1.z), b3_1, c6_1);
      c7_0 = fma(vec4f(a3_1.w), b3_0, c7_0); c7_1 = fma(vec4f(a3_1.w), b3_1, c7_1);
    }
    filled = 2u * DEPTH * THREADS - filled;
  }

  let i = top + 4u * thread.y;
  let j = left + 4u * thread.x;

  let block = (*problem).block;
  let end = block + width;
  var update = array<vec4f, 16>(
    c0_0, c0_1, c1_0, c1_1, c2_0, c2_1, c3_0, c3_1,
    c4_0, c4_1, c5_0, c5_1, c6_0, c6_1, c7_0, c7_1,
  );
  for (var part = 0u; part < 16u; part++) {
    let row = i + part / 8u * 4u * THREADS + part / 2u % 4u;
    let column = j + part % 2u * 4u * THREADS;
    // Nobody reads what lies above the diagonal.
    if (row >= size || column > row) {
      continue;
    }
    let replaced = (row >= block && row < end) || (column >= block && column < end);
    let at = (*problem).workOffset / 4u + row * stride + column / 4u;
    work[at] = select(work[at], vec4f(), replaced) - update[part];
  }
}
