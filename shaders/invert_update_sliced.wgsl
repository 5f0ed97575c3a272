// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
// For GPUs, where results are small and sums are long: a workgroup computes 8 × 8 numbers, each thread 4 × 4 of them over
// each 64th row of R. What the threads of one place have is then added up, in a fixed order. Dispatched by
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

const SLICES = 64u;
const GRID = 4u;

// The sums of the slices, 4 threads' after each other.
var<workgroup> sums: array<array<vec4f, 4>, SLICES * GRID>;

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
  let size = (*problem).size;
  let tileCols = (size + 8u - 1u) / (8u);
  let tile = number - (*problem).first;
  let top = tile / tileCols * 8u;
  let left = tile % tileCols * 8u;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= size || left > top) {
    return;
  }
  let slice = own / GRID;
  let i = top + 4u * (own % GRID / 2u);
  let j = left + 4u * (own % 2u);
  let stride = size / 4u;
  let width = (*problem).width;

  var c0_0 = vec4f();
  var c1_0 = vec4f();
  var c2_0 = vec4f();
  var c3_0 = vec4f();
  if (i < size && j < size) {
    var ai = (*problem).newOffset / 4u + slice * stride + i / 4u;
    var bj = (*problem).newOffset / 4u + slice * stride + j / 4u;
    var step = slice;
    // Four rows on their way at a time: alone on its processor, a workgroup mostly waits for memory.
    for (; step + 3u * SLICES < width; step += 4u * SLICES) {
      let a0_0 = product[ai + 0u * SLICES * stride];
      let b0_0 = product[bj + 0u * SLICES * stride];
      let a1_0 = product[ai + 1u * SLICES * stride];
      let b1_0 = product[bj + 1u * SLICES * stride];
      let a2_0 = product[ai + 2u * SLICES * stride];
      let b2_0 = product[bj + 2u * SLICES * stride];
      let a3_0 = product[ai + 3u * SLICES * stride];
      let b3_0 = product[bj + 3u * SLICES * stride];
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
      ai += 4u * SLICES * stride;
      bj += 4u * SLICES * stride;
    }
    for (; step < width; step += SLICES) {
      let a_0 = product[ai];
      let b_0 = product[bj];
      c0_0 = fma(vec4f(a_0.x), b_0, c0_0);
      c1_0 = fma(vec4f(a_0.y), b_0, c1_0);
      c2_0 = fma(vec4f(a_0.z), b_0, c2_0);
      c3_0 = fma(vec4f(a_0.w), b_0, c3_0);
      ai += SLICES * stride;
      bj += SLICES * stride;
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

  let block = (*problem).block;
  let end = block + width;
  var update = array<vec4f, 4>(
    c0_0,
    c1_0,
    c2_0,
    c3_0,
  );
  // From i on, which the compiler does not know: unrolled stores take seconds to compile.
  for (var part = 0u; part < 4u; part++) {
    let row = i + part / 4u * 8u + part / 1u % 4u;
    let column = j + part % 1u * 8u;
    // Nobody reads what lies above the diagonal.
    if (row >= size || column > row) {
      continue;
    }
    let replaced = (row >= block && row < end) || (column >= block && column < end);
    let at = (*problem).workOffset / 4u + row * stride + column / 4u;
    work[at] = select(work[at], vec4f(), replaced) - update[part];
  }
}
