# // As registers.wgsl, for threads that share their loads through workgroup memory: 8 × 8 numbers a thread, in four blocks.
# //   operandNames   of A and B, for comments
// Along each side of a workgroup; at most 16, as workgroup memory is no larger.
override THREADS: u32 = 8;
// Rows of ${operandNames} in workgroup memory at a time.
const DEPTH = 8u;

// Two sets of rows, used in turns, so that a step needs one barrier: a thread may fill one while others read the other.
// aRows holds what becomes the rows of the tile, bRows what becomes its columns.
var<workgroup> aRows: array<vec4f, 4 * DEPTH * THREADS>;
var<workgroup> bRows: array<vec4f, 4 * DEPTH * THREADS>;

# const [loadA, loadB] = a === b ? ["load", "load"] : ["loadA", "loadB"];
// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn ${loadA}(at: u32, live: bool) -> vec4f {
  if (live) {
    return ${a("at")};
  }
  return vec4f();
}

# if (a !== b) {
fn ${loadB}(at: u32, live: bool) -> vec4f {
  if (live) {
    return ${b("at")};
  }
  return vec4f();
}

# }
# store();
@compute @workgroup_size(THREADS, THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) own: u32,
) {
  # include("find_problem");
  let problem = &problems[index];
# sizes("8u * THREADS");
  let tile = number - (*problem).first;
  let top = tile / ${tileCols} * 8u * THREADS;
  let left = tile % ${tileCols} * 8u * THREADS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= ${m}${lower ? " || left > top" : ""}) {
    return;
  }

  // A thread brings one vec4f of a row to each operand, and where that is half of the rows, one of the other half.
  let row = own / (2u * THREADS);
  let quad = own % (2u * THREADS);
  let twice = THREADS < 2u * DEPTH;
  let half = THREADS / 2u;
  let aLive = top + 4u * quad < ${m};
  let bLive = left + 4u * quad < ${n};
# operands();
  var next = row;
  var aAt = ${aStart} + row * ${aStride} + top / 4u + quad;
  var bAt = ${bStart} + row * ${bStride} + left / 4u + quad;
# const load = (start) => {
${start}a0 = ${loadA}(aAt, aLive && next < ${k});
${start}b0 = ${loadB}(bAt, bLive && next < ${k});
${start}a1 = ${loadA}(aAt + half * ${aStride}, twice && aLive && next + half < ${k});
${start}b1 = ${loadB}(bAt + half * ${bStride}, twice && bLive && next + half < ${k});
# };
# load("  var ");

  # include("product/accumulators", { height: 8, halves: 2 });
  var filled = 0u;
  for (var step = 0u; step < ${k}; step += DEPTH) {
    aRows[filled + own] = a0;
    bRows[filled + own] = b0;
    if (twice) {
      aRows[filled + own + THREADS * THREADS] = a1;
      bRows[filled + own + THREADS * THREADS] = b1;
    }
    workgroupBarrier();
    // The rows of the next step are on their way while these are multiplied.
    next += DEPTH;
    aAt += DEPTH * ${aStride};
    bAt += DEPTH * ${bStride};
# load("    ");
    let rows = min(DEPTH, ${k} - step);
    for (var done = 0u; done < rows; done += 4u) {
      let ai = filled + done * 2u * THREADS + thread.y;
      let bj = filled + done * 2u * THREADS + thread.x;
# for (const step of upTo(4)) {
#   for (const [name, at] of [["a", "ai"], ["b", "bj"]]) {
      ${each(2, (h) => `let ${name}${step}_${h} = ${name}Rows[${at} + ${2 * step + h}u * THREADS];`)}
#   }
      # include("product/outer", { left: `a${step}`, right: `b${step}` });
# }
    }
    filled = 2u * DEPTH * THREADS - filled;
  }

  let i = top + 4u * thread.y;
  let j = left + 4u * thread.x;
