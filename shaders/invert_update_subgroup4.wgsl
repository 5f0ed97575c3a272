// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
// For adapters whose subgroups have 4 lanes (software adapters): a workgroup is one subgroup, which shares its loads of
// R. A thread computes 32 × COLS numbers in registers, a workgroup 32 × COLS·LANES. Dispatched by
// src/linalg/invert.ts, many matrices at once.
//
// Written by `npm run shaders` from source/invert_update.wgsl.
enable subgroups;

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

const LANES = 4u;
// Columns of C that a thread keeps, and vec4f of its block.
const COLS = 8u;
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
  let size = (*problem).size;
  let tileCols = (size + COLS * LANES - 1u) / (COLS * LANES);
  let tile = number - (*problem).first;
  let i = tile / tileCols * 32u;
  let left = (tile % tileCols) * LANES * COLS;
  // The whole workgroup or none of it: a lane that left could not share its loads.
  if (i >= size || left > i + 31u) {
    return;
  }
  let j = left + thread.x * COLS;
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
  var c8_0 = vec4f(); var c8_1 = vec4f();
  var c9_0 = vec4f(); var c9_1 = vec4f();
  var c10_0 = vec4f(); var c10_1 = vec4f();
  var c11_0 = vec4f(); var c11_1 = vec4f();
  var c12_0 = vec4f(); var c12_1 = vec4f();
  var c13_0 = vec4f(); var c13_1 = vec4f();
  var c14_0 = vec4f(); var c14_1 = vec4f();
  var c15_0 = vec4f(); var c15_1 = vec4f();
  var c16_0 = vec4f(); var c16_1 = vec4f();
  var c17_0 = vec4f(); var c17_1 = vec4f();
  var c18_0 = vec4f(); var c18_1 = vec4f();
  var c19_0 = vec4f(); var c19_1 = vec4f();
  var c20_0 = vec4f(); var c20_1 = vec4f();
  var c21_0 = vec4f(); var c21_1 = vec4f();
  var c22_0 = vec4f(); var c22_1 = vec4f();
  var c23_0 = vec4f(); var c23_1 = vec4f();
  var c24_0 = vec4f(); var c24_1 = vec4f();
  var c25_0 = vec4f(); var c25_1 = vec4f();
  var c26_0 = vec4f(); var c26_1 = vec4f();
  var c27_0 = vec4f(); var c27_1 = vec4f();
  var c28_0 = vec4f(); var c28_1 = vec4f();
  var c29_0 = vec4f(); var c29_1 = vec4f();
  var c30_0 = vec4f(); var c30_1 = vec4f();
  var c31_0 = vec4f(); var c31_1 = vec4f();
  var ai = (*problem).newOffset / 4u + i / 4u;
  var bj = (*problem).newOffset / 4u + min(j / 4u, stride - COLS / 4u);
  let live = true;
  let aNext = stride;
  let bNext = stride;
  for (var step = 0u; step < width; step += 2u) {
    let b0_0 = product[bj + 0u];
    let b0_1 = product[bj + 1u];
    let b1_0 = product[bj + bNext + 0u];
    let b1_1 = product[bj + bNext + 1u];
    let x0 = product[ai + lane + 0u];
    let x1 = product[ai + lane + 4u];
    let y0 = select(vec4f(), product[ai + aNext + lane + 0u], live);
    let y1 = select(vec4f(), product[ai + aNext + lane + 4u], live);
    let p0 = subgroupBroadcast(x0, 0u); let q0 = subgroupBroadcast(y0, 0u);
    c0_0 = fma(vec4f(q0.x), b1_0, fma(vec4f(p0.x), b0_0, c0_0));
    c0_1 = fma(vec4f(q0.x), b1_1, fma(vec4f(p0.x), b0_1, c0_1));
    c1_0 = fma(vec4f(q0.y), b1_0, fma(vec4f(p0.y), b0_0, c1_0));
    c1_1 = fma(vec4f(q0.y), b1_1, fma(vec4f(p0.y), b0_1, c1_1));
    c2_0 = fma(vec4f(q0.z), b1_0, fma(vec4f(p0.z), b0_0, c2_0));
    c2_1 = fma(vec4f(q0.z), b1_1, fma(vec4f(p0.z), b0_1, c2_1));
    c3_0 = fma(vec4f(q0.w), b1_0, fma(vec4f(p0.w), b0_0, c3_0));
    c3_1 = fma(vec4f(q0.w), b1_1, fma(vec4f(p0.w), b0_1, c3_1));
    let p1 = subgroupBroadcast(x0, 1u); let q1 = subgroupBroadcast(y0, 1u);
    c4_0 = fma(vec4f(q1.x), b1_0, fma(vec4f(p1.x), b0_0, c4_0));
    c4_1 = fma(vec4f(q1.x), b1_1, fma(vec4f(p1.x), b0_1, c4_1));
    c5_0 = fma(vec4f(q1.y), b1_0, fma(vec4f(p1.y), b0_0, c5_0));
    c5_1 = fma(vec4f(q1.y), b1_1, fma(vec4f(p1.y), b0_1, c5_1));
    c6_0 = fma(vec4f(q1.z), b1_0, fma(vec4f(p1.z), b0_0, c6_0));
    c6_1 = fma(vec4f(q1.z), b1_1, fma(vec4f(p1.z), b0_1, c6_1));
    c7_0 = fma(vec4f(q1.w), b1_0, fma(vec4f(p1.w), b0_0, c7_0));
    c7_1 = fma(vec4f(q1.w), b1_1, fma(vec4f(p1.w), b0_1, c7_1));
    let p2 = subgroupBroadcast(x0, 2u); let q2 = subgroupBroadcast(y0, 2u);
    c8_0 = fma(vec4f(q2.x), b1_0, fma(vec4f(p2.x), b0_0, c8_0));
    c8_1 = fma(vec4f(q2.x), b1_1, fma(vec4f(p2.x), b0_1, c8_1));
    c9_0 = fma(vec4f(q2.y), b1_0, fma(vec4f(p2.y), b0_0, c9_0));
    c9_1 = fma(vec4f(q2.y), b1_1, fma(vec4f(p2.y), b0_1, c9_1));
    c10_0 = fma(vec4f(q2.z), b1_0, fma(vec4f(p2.z), b0_0, c10_0));
    c10_1 = fma(vec4f(q2.z), b1_1, fma(vec4f(p2.z), b0_1, c10_1));
    c11_0 = fma(vec4f(q2.w), b1_0, fma(vec4f(p2.w), b0_0, c11_0));
    c11_1 = fma(vec4f(q2.w), b1_1, fma(vec4f(p2.w), b0_1, c11_1));
    let p3 = subgroupBroadcast(x0, 3u); let q3 = subgroupBroadcast(y0, 3u);
    c12_0 = fma(vec4f(q3.x), b1_0, fma(vec4f(p3.x), b0_0, c12_0));
    c12_1 = fma(vec4f(q3.x), b1_1, fma(vec4f(p3.x), b0_1, c12_1));
    c13_0 = fma(vec4f(q3.y), b1_0, fma(vec4f(p3.y), b0_0, c13_0));
    c13_1 = fma(vec4f(q3.y), b1_1, fma(vec4f(p3.y), b0_1, c13_1));
    c14_0 = fma(vec4f(q3.z), b1_0, fma(vec4f(p3.z), b0_0, c14_0));
    c14_1 = fma(vec4f(q3.z), b1_1, fma(vec4f(p3.z), b0_1, c14_1));
    c15_0 = fma(vec4f(q3.w), b1_0, fma(vec4f(p3.w), b0_0, c15_0));
    c15_1 = fma(vec4f(q3.w), b1_1, fma(vec4f(p3.w), b0_1, c15_1));
    let p4 = subgroupBroadcast(x1, 0u); let q4 = subgroupBroadcast(y1, 0u);
    c16_0 = fma(vec4f(q4.x), b1_0, fma(vec4f(p4.x), b0_0, c16_0));
    c16_1 = fma(vec4f(q4.x), b1_1, fma(vec4f(p4.x), b0_1, c16_1));
    c17_0 = fma(vec4f(q4.y), b1_0, fma(vec4f(p4.y), b0_0, c17_0));
    c17_1 = fma(vec4f(q4.y), b1_1, fma(vec4f(p4.y), b0_1, c17_1));
    c18_0 = fma(vec4f(q4.z), b1_0, fma(vec4f(p4.z), b0_0, c18_0));
    c18_1 = fma(vec4f(q4.z), b1_1, fma(vec4f(p4.z), b0_1, c18_1));
    c19_0 = fma(vec4f(q4.w), b1_0, fma(vec4f(p4.w), b0_0, c19_0));
    c19_1 = fma(vec4f(q4.w), b1_1, fma(vec4f(p4.w), b0_1, c19_1));
    let p5 = subgroupBroadcast(x1, 1u); let q5 = subgroupBroadcast(y1, 1u);
    c20_0 = fma(vec4f(q5.x), b1_0, fma(vec4f(p5.x), b0_0, c20_0));
    c20_1 = fma(vec4f(q5.x), b1_1, fma(vec4f(p5.x), b0_1, c20_1));
    c21_0 = fma(vec4f(q5.y), b1_0, fma(vec4f(p5.y), b0_0, c21_0));
    c21_1 = fma(vec4f(q5.y), b1_1, fma(vec4f(p5.y), b0_1, c21_1));
    c22_0 = fma(vec4f(q5.z), b1_0, fma(vec4f(p5.z), b0_0, c22_0));
    c22_1 = fma(vec4f(q5.z), b1_1, fma(vec4f(p5.z), b0_1, c22_1));
    c23_0 = fma(vec4f(q5.w), b1_0, fma(vec4f(p5.w), b0_0, c23_0));
    c23_1 = fma(vec4f(q5.w), b1_1, fma(vec4f(p5.w), b0_1, c23_1));
    let p6 = subgroupBroadcast(x1, 2u); let q6 = subgroupBroadcast(y1, 2u);
    c24_0 = fma(vec4f(q6.x), b1_0, fma(vec4f(p6.x), b0_0, c24_0));
    c24_1 = fma(vec4f(q6.x), b1_1, fma(vec4f(p6.x), b0_1, c24_1));
    c25_0 = fma(vec4f(q6.y), b1_0, fma(vec4f(p6.y), b0_0, c25_0));
    c25_1 = fma(vec4f(q6.y), b1_1, fma(vec4f(p6.y), b0_1, c25_1));
    c26_0 = fma(vec4f(q6.z), b1_0, fma(vec4f(p6.z), b0_0, c26_0));
    c26_1 = fma(vec4f(q6.z), b1_1, fma(vec4f(p6.z), b0_1, c26_1));
    c27_0 = fma(vec4f(q6.w), b1_0, fma(vec4f(p6.w), b0_0, c27_0));
    c27_1 = fma(vec4f(q6.w), b1_1, fma(vec4f(p6.w), b0_1, c27_1));
    let p7 = subgroupBroadcast(x1, 3u); let q7 = subgroupBroadcast(y1, 3u);
    c28_0 = fma(vec4f(q7.x), b1_0, fma(vec4f(p7.x), b0_0, c28_0));
    c28_1 = fma(vec4f(q7.x), b1_1, fma(vec4f(p7.x), b0_1, c28_1));
    c29_0 = fma(vec4f(q7.y), b1_0, fma(vec4f(p7.y), b0_0, c29_0));
    c29_1 = fma(vec4f(q7.y), b1_1, fma(vec4f(p7.y), b0_1, c29_1));
    c30_0 = fma(vec4f(q7.z), b1_0, fma(vec4f(p7.z), b0_0, c30_0));
    c30_1 = fma(vec4f(q7.z), b1_1, fma(vec4f(p7.z), b0_1, c30_1));
    c31_0 = fma(vec4f(q7.w), b1_0, fma(vec4f(p7.w), b0_0, c31_0));
    c31_1 = fma(vec4f(q7.w), b1_1, fma(vec4f(p7.w), b0_1, c31_1));
    ai += 2u * stride;
    bj += 2u * stride;
  }

  if (j > i + 31u || j >= size) {
    return;
  }

  let block = (*problem).block;
  let end = block + width;
  var update = array<vec4f, 64>(
    c0_0, c0_1, c1_0, c1_1, c2_0, c2_1, c3_0, c3_1,
    c4_0, c4_1, c5_0, c5_1, c6_0, c6_1, c7_0, c7_1,
    c8_0, c8_1, c9_0, c9_1, c10_0, c10_1, c11_0, c11_1,
    c12_0, c12_1, c13_0, c13_1, c14_0, c14_1, c15_0, c15_1,
    c16_0, c16_1, c17_0, c17_1, c18_0, c18_1, c19_0, c19_1,
    c20_0, c20_1, c21_0, c21_1, c22_0, c22_1, c23_0, c23_1,
    c24_0, c24_1, c25_0, c25_1, c26_0, c26_1, c27_0, c27_1,
    c28_0, c28_1, c29_0, c29_1, c30_0, c30_1, c31_0, c31_1,
  );
  // Blocks of the sweep are whole tiles high: all rows of the tile are in K, or none.
  let replaced = (i >= block && i < end) || (j >= block && j < end);
  let at = (*problem).workOffset / 4u + i * stride + j / 4u;
  // From a number that the compiler does not know: unrolled stores take seconds to compile.
  let first = number * PIECES;
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    let four = at + part * 4u / COLS * stride + part * 4u % COLS / 4u;
    work[four] = select(work[four], vec4f(), replaced) - update[part];
  }
}
