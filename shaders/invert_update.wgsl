// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
// A thread computes 8 × 8 numbers in registers, a workgroup THREADS_I × THREADS_J such blocks. Dispatched by
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

override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

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
  let size = (*problem).size;
  let tileCols = (size + 8u * THREADS_J - 1u) / (8u * THREADS_J);
  let tile = number - (*problem).first;
  let i = ((tile / tileCols) * THREADS_I + thread.y) * 8u;
  let j = ((tile % tileCols) * THREADS_J + thread.x) * 8u;
  if (i >= size || j > i) {
    return;
  }
  let stride = size / 4u;
  let width = (*problem).width;

  var c0_0 = vec4f(); var c0_1 = vec4f();
  var c1_0 = vec4f(); var c1_1 = vec4f();
  var c2_0 = vec4f(); var c2_1 = vec4f();
  var c3_0 = vec4f(); var c3_1 = vec4f();
  var c4_0 = vec4f(); var c4_1 = vec4f();
  var c5_0 = vec4f(); var c5_1 = vec4f();
  var c6_0 = vec4f(); var c6_1 = vec4f();
  var c7_0 = vec4f(); var c7_1 = vec4f();
  var ai = (*problem).newOffset / 4u + i / 4u;
  var bj = (*problem).newOffset / 4u + j / 4u;
  for (var step = 0u; step < width; step++) {
    let b_0 = product[bj];
    let b_1 = product[bj + 1u];
    let a_0 = product[ai];
    let a_1 = product[ai + 1u];
    c0_0 = fma(vec4f(a_0.x), b_0, c0_0); c0_1 = fma(vec4f(a_0.x), b_1, c0_1);
    c1_0 = fma(vec4f(a_0.y), b_0, c1_0); c1_1 = fma(vec4f(a_0.y), b_1, c1_1);
    c2_0 = fma(vec4f(a_0.z), b_0, c2_0); c2_1 = fma(vec4f(a_0.z), b_1, c2_1);
    c3_0 = fma(vec4f(a_0.w), b_0, c3_0); c3_1 = fma(vec4f(a_0.w), b_1, c3_1);
    c4_0 = fma(vec4f(a_1.x), b_0, c4_0); c4_1 = fma(vec4f(a_1.x), b_1, c4_1);
    c5_0 = fma(vec4f(a_1.y), b_0, c5_0); c5_1 = fma(vec4f(a_1.y), b_1, c5_1);
    c6_0 = fma(vec4f(a_1.z), b_0, c6_0); c6_1 = fma(vec4f(a_1.z), b_1, c6_1);
    c7_0 = fma(vec4f(a_1.w), b_0, c7_0); c7_1 = fma(vec4f(a_1.w), b_1, c7_1);
    ai += stride;
    bj += stride;
  }

  let block = (*problem).block;
  let end = block + width;
  var update = array<vec4f, 16>(
    c0_0, c0_1,
    c1_0, c1_1,
    c2_0, c2_1,
    c3_0, c3_1,
    c4_0, c4_1,
    c5_0, c5_1,
    c6_0, c6_1,
    c7_0, c7_1,
  );
  // From i on, which the compiler does not know: unrolled stores take seconds to compile.
  for (var part = 0u; part < 16u; part++) {
    let row = i + part / 8u * 4u + part / 2u % 4u;
    let column = j + part % 2u * 4u;
    // Nobody reads what lies above the diagonal.
    if (row >= size || column > row) {
      continue;
    }
    let replaced = (row >= block && row < end) || (column >= block && column < end);
    let at = (*problem).workOffset / 4u + row * stride + column / 4u;
    work[at] = select(work[at], vec4f(), replaced) - update[part];
  }
}
