# // As registers.wgsl, for a subgroup of `lanes` threads with `columns` columns each: all have the same 32 rows and
# // neighbouring columns, so one lane loads four rows of A and hands them to the others. A software adapter loads lane by
# // lane, and loads are what it spends its time on. Of its own:
# //   even    whether k is even: two rows are taken at a time
# //   bLast   the last vec4f of a row of B that a block may start at
const LANES = ${lanes}u;
// Columns of C that a thread keeps, and vec4f of its block.
const COLS = ${columns}u;
const PIECES = 8u * COLS;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  # include("find_problem");
  let problem = &problems[index];
# sizes("COLS * LANES");
  let tile = number - (*problem).first;
  let i = tile / ${tileCols} * 32u;
  let left = (tile % ${tileCols}) * LANES * COLS;
  // The whole workgroup or none of it: a lane that left could not share its loads.
  if (i >= ${m} || ${lower ? "left > i + 31u" : `left >= ${n}`}) {
    return;
  }
  let j = left + thread.x * COLS;
# operands();

# const halves = columns / 4;
  # include("product/accumulators", { height: 32, quads: halves });
  var ai = ${aStart} + i / 4u;
  var bj = ${bStart} + min(j / 4u, ${bLast});
# if (even) {
  let live = true;
  let aNext = ${aStride};
  let bNext = ${bStride};
# }
  for (var step = 0u; step < ${k}; step += 2u) {
# if (!even) {
    // The second of two rows may be missing.
    let live = step + 1u < ${k};
    let aNext = select(0u, ${aStride}, live);
    let bNext = ${bStride === aStride ? "aNext" : `select(0u, ${bStride}, live)`};
# }
# for (const h of upTo(halves)) {
    let b0_${h} = ${b(`bj + ${h}u`)};
# }
# for (const h of upTo(halves)) {
    let b1_${h} = ${b(`bj + bNext + ${h}u`)};
# }
# for (const t of upTo(8 / lanes)) {
    let x${t} = ${a(`ai + lane + ${t * lanes}u`)};
# }
# for (const t of upTo(8 / lanes)) {
    let y${t} = select(vec4f(), ${a(`ai + aNext + lane + ${t * lanes}u`)}, live);
# }
# for (const quad of upTo(8)) {
#   const [t, from] = [Math.floor(quad / lanes), quad % lanes];
    let p${quad} = subgroupBroadcast(x${t}, ${from}u); let q${quad} = subgroupBroadcast(y${t}, ${from}u);
#   for (const part of upTo(4)) {
#     for (const h of upTo(halves)) {
#       const [c, at] = [`c${4 * quad + part}_${h}`, "xyzw"[part]];
    ${c} = fma(vec4f(q${quad}.${at}), b1_${h}, fma(vec4f(p${quad}.${at}), b0_${h}, ${c}));
#     }
#   }
# }
    ai += 2u * ${aStride};
    bj += 2u * ${bStride};
  }

  if (${lower ? "j > i + 31u || " : ""}j >= ${n}) {
    return;
  }
