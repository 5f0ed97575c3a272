// target[b, i, j] ← source[b, i, j], or 1 where the problem fills: strided copy, transposition, packing, a row of ones.
//
# if (pairs === 1) {
// Layout: every index has a stride of its own on both sides, in elements. A workgroup copies one line (b, i), its
// threads walk along j. Dispatched by src/linalg/layout/copy.ts, many problems at once.
# } else {
// Layout: every index has a stride of its own on both sides, in elements. A workgroup copies one line (b, i), its
// threads walk along j. Problem.pair says which source and which target: 0, 1, or 2 where the second source goes to the first
// target. Dispatched by src/linalg/layout/copy.ts, many problems at once.
# }

# bindings("linalg/layout/copy", pairs === 1 ? "copyLayout" : "copyPairsLayout");

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let line = number - problem.first;
  let b = line / problem.rows;
  let i = line % problem.rows;
  if (b >= problem.batch) {
    return;
  }
  let start = problem.sourceOffset + b * problem.sourceBatch + i * problem.sourceRow;
  let written = problem.targetOffset + b * problem.targetBatch + i * problem.targetRow;
# const ways = [["source", "copied"], ["source2", "copied2"], ["source2", "copied"]].slice(0, pairs === 1 ? 1 : 3);
# for (const [pair, [source, copied]] of ways.entries()) {
#   const own = pairs === 1 ? "" : `problem.pair == ${pair}u && `;
  if (${own}problem.fill == 1u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      ${copied}[written + j * problem.targetCol] = 1.0;
    }
  }
  if (${own}problem.fill == 0u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      ${copied}[written + j * problem.targetCol] = ${source}[start + j * problem.sourceCol];
    }
  }
# }
}
