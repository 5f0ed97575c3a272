// target[b, i, j] ← source[b, i, j], or 1 where the problem fills: strided copy, transposition, packing, a row of ones.
//
// Layout: every index has a stride of its own on both sides, in elements. A workgroup copies one line (b, i), its
// threads walk along j. Dispatched by src/linalg/layout/copy.ts, many problems at once.

# bindings("linalg/layout/copy", "copyLayout");

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
  if (problem.fill == 1u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = 1.0;
    }
  } else {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = source[start + j * problem.sourceCol];
    }
  }
}
