# // As registers.wgsl, for threads that share their loads through workgroup memory: 4 · high × 4 · wide numbers a thread, and
# // spanI × spanJ threads. Of its own:
# //   operandNames   of A and B, for comments
# //   depth          rows of A and B in workgroup memory at a time
# //   operand        what four numbers of A and B are kept in; here a(at) and b(at) are such
# // Sums are of f32, whatever that is.
# const loaded = (at) => (operand === "vec4f" ? at : `vec4f(${at})`);
# const [aQuads, bQuads] = [high * spanI, wide * spanJ];
# const threads = spanI * spanJ;
# const [aLoads, bLoads] = [(depth * aQuads) / threads, (depth * bQuads) / threads];
// Rows of ${operandNames} in workgroup memory at a time.
const DEPTH = ${depth}u;
// Threads of a workgroup.
const THREADS = ${threads}u;
// vec4f of a row of the tile, and of a column.
const DOWN = ${aQuads}u;
const ACROSS = ${bQuads}u;

// aRows holds what becomes the rows of the tile, bRows what becomes its columns. One set of each: larger tiles are worth more than
// a barrier less.
var<workgroup> aRows: array<${operand}, DEPTH * DOWN>;
var<workgroup> bRows: array<${operand}, DEPTH * ACROSS>;

# const [loadA, loadB] = a === b ? ["load", "load"] : ["loadA", "loadB"];
// Zero where there is no such row or column: what lies there may be anything, and 0 · NaN is NaN.
fn ${loadA}(at: u32, live: bool) -> ${operand} {
  if (live) {
    return ${a("at")};
  }
  return ${operand}();
}

# if (a !== b) {
fn ${loadB}(at: u32, live: bool) -> ${operand} {
  if (live) {
    return ${b("at")};
  }
  return ${operand}();
}

# }
# store();
@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) own: u32,
) {
  # include("find_problem");
  let problem = &problems[index];
# sizes("4u * ACROSS");
  let tile = number - (*problem).first;
  let top = tile / ${tileCols} * 4u * DOWN;
  let left = tile % ${tileCols} * 4u * ACROSS;
  // The whole workgroup or none of it: the others would wait at the barrier.
  if (top >= ${m}${lower ? " || left > top" : ""}) {
    return;
  }

  // A thread brings ${aLoads} vec4f of A and ${bLoads} of B, each a few rows below the last.
  let aRow = own / DOWN;
  let bRow = own / ACROSS;
  let aLive = top + 4u * (own % DOWN) < ${m};
  let bLive = left + 4u * (own % ACROSS) < ${n};
# operands();
  var aAt = ${aStart} + aRow * ${aStride} + top / 4u + own % DOWN;
  var bAt = ${bStart} + bRow * ${bStride} + left / 4u + own % ACROSS;
# const load = (start) => {
#   for (const t of upTo(aLoads)) {
#     const down = `${(t * threads) / aQuads}u`;
${start}a${t} = ${loadA}(aAt + ${down} * ${aStride}, aLive && next + aRow + ${down} < ${k});
#   }
#   for (const t of upTo(bLoads)) {
#     const down = `${(t * threads) / bQuads}u`;
${start}b${t} = ${loadB}(bAt + ${down} * ${bStride}, bLive && next + bRow + ${down} < ${k});
#   }
# };
  var next = 0u;
# load("  var ");

  let across = own % ${spanJ}u;
  let down = own / ${spanJ}u;
  # include("product/accumulators", { height: 4 * high, quads: wide });
  for (var step = 0u; step < ${k}; step += DEPTH) {
# for (const t of upTo(aLoads)) {
    aRows[own + ${t}u * THREADS] = a${t};
# }
# for (const t of upTo(bLoads)) {
    bRows[own + ${t}u * THREADS] = b${t};
# }
    workgroupBarrier();
    // The rows of the next step are on their way while these are multiplied.
    next += DEPTH;
    aAt += DEPTH * ${aStride};
    bAt += DEPTH * ${bStride};
# load("    ");
    let rows = min(DEPTH, ${k} - step);
    for (var done = 0u; done < rows; done++) {
# for (const q of upTo(high)) {
      let p_${q} = ${loaded(`aRows[done * DOWN + down + ${q * spanI}u]`)};
# }
# for (const q of upTo(wide)) {
      let q_${q} = ${loaded(`bRows[done * ACROSS + across + ${q * spanJ}u]`)};
# }
      # include("product/outer", { left: "p", right: "q" });
    }
    // Everyone is done with these rows.
    workgroupBarrier();
  }

  let i = top + 4u * down;
  let j = left + 4u * across;
