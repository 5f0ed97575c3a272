# // As registers.wgsl, for few results and long sums: spanI × spanJ threads with 4 × 4 numbers each, and `slices` such grids, each
# // of which takes every so many-th row.
const SLICES = ${slices}u;
const GRID = ${spanI * spanJ}u;

// The sums of the slices, ${spanI * spanJ} threads' after each other.
var<workgroup> sums: array<array<vec4f, 4>, SLICES * GRID>;

# store();
@compute @workgroup_size(SLICES * GRID)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) own: u32,
) {
  # include("find_problem");
  let problem = &problems[index];
# sizes(`${4 * spanJ}u`);
  let tile = number - (*problem).first;
  let top = tile / ${tileCols} * ${4 * spanI}u;
  let left = tile % ${tileCols} * ${4 * spanJ}u;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= ${m}${lower ? " || left > top" : ""}) {
    return;
  }
  let slice = own / GRID;
  let i = top + 4u * (own % GRID / ${spanJ}u);
  let j = left + 4u * (own % ${spanJ}u);
# operands();

  # include("product/accumulators", { height: 4, quads: 1 });
  if (i < ${m} && j < ${n}) {
    var ai = ${aStart} + slice * ${aStride} + i / 4u;
    var bj = ${bStart} + slice * ${bStride} + j / 4u;
    var step = slice;
    // Four rows on their way at a time: alone on its processor, a workgroup mostly waits for memory.
    for (; step + 3u * SLICES < ${k}; step += 4u * SLICES) {
# for (const r of upTo(4)) {
      let a${r}_0 = ${a(`ai + ${r}u * SLICES * ${aStride}`)};
      let b${r}_0 = ${b(`bj + ${r}u * SLICES * ${bStride}`)};
# }
# for (const r of upTo(4)) {
      # include("product/outer", { left: `a${r}`, right: `b${r}` });
# }
      ai += 4u * SLICES * ${aStride};
      bj += 4u * SLICES * ${bStride};
    }
    for (; step < ${k}; step += SLICES) {
      let a_0 = ${a("ai")};
      let b_0 = ${b("bj")};
      # include("product/outer", { left: "a", right: "b" });
      ai += SLICES * ${aStride};
      bj += SLICES * ${bStride};
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
# for (const r of upTo(4)) {
  c${r}_0 = sums[own][${r}];
# }
