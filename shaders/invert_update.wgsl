// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot32.wgsl or invert_pivot64.wgsl and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four. A thread owns an 8 × 8 block.
// Dispatched by src/linalg/invert.ts, many matrices at once.

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
  let block = (*problem).block;
  let tileCols = (size + 8u * THREADS_J - 1u) / (8u * THREADS_J);
  let tile = number - (*problem).first;
  let i = ((tile / tileCols) * THREADS_I + thread.y) * 8u;
  let j = ((tile % tileCols) * THREADS_J + thread.x) * 8u;
  if (i >= size || j > i) {
    return;
  }
  let stride = size / 4u;
  let at = (*problem).workOffset / 4u + i * stride + j / 4u;
  let inI = i >= block && i < block + (*problem).width;
  let inJ = j >= block && j < block + (*problem).width;

  var c00 = vec4f(); var c01 = vec4f();
  var c10 = vec4f(); var c11 = vec4f();
  var c20 = vec4f(); var c21 = vec4f();
  var c30 = vec4f(); var c31 = vec4f();
  var c40 = vec4f(); var c41 = vec4f();
  var c50 = vec4f(); var c51 = vec4f();
  var c60 = vec4f(); var c61 = vec4f();
  var c70 = vec4f(); var c71 = vec4f();
  var ai = (*problem).newOffset / 4u + i / 4u;
  var bj = (*problem).newOffset / 4u + j / 4u;
  for (var step = 0u; step < (*problem).width; step++) {
    let b0 = product[bj];
    let b1 = product[bj + 1u];
    let a0 = product[ai];
    let a1 = product[ai + 1u];
    c00 = fma(vec4f(a0.x), b0, c00); c01 = fma(vec4f(a0.x), b1, c01);
    c10 = fma(vec4f(a0.y), b0, c10); c11 = fma(vec4f(a0.y), b1, c11);
    c20 = fma(vec4f(a0.z), b0, c20); c21 = fma(vec4f(a0.z), b1, c21);
    c30 = fma(vec4f(a0.w), b0, c30); c31 = fma(vec4f(a0.w), b1, c31);
    c40 = fma(vec4f(a1.x), b0, c40); c41 = fma(vec4f(a1.x), b1, c41);
    c50 = fma(vec4f(a1.y), b0, c50); c51 = fma(vec4f(a1.y), b1, c51);
    c60 = fma(vec4f(a1.z), b0, c60); c61 = fma(vec4f(a1.z), b1, c61);
    c70 = fma(vec4f(a1.w), b0, c70); c71 = fma(vec4f(a1.w), b1, c71);
    ai += stride;
    bj += stride;
  }

  var update = array(c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51, c60, c61, c70, c71);
  // From i on, which the compiler does not know: unrolled stores take seconds to compile.
  for (var row = i; row < i + 8u; row++) {
    let half = at + (row - i) * stride;
    let part = (row - i) * 2u;
    work[half] = select(work[half], vec4f(), inI || inJ) - update[part];
    work[half + 1u] = select(work[half + 1u], vec4f(), inI || inJ) - update[part + 1u];
  }
}
