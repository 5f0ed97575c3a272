// flags[problem.flag] |= problem.bit where the rows × cols matrix holds a number that is not finite.
//
// Layout: any stride, in one of three buffers, problem.source says which. A workgroup looks at ROWS rows. Dispatched by
// src/linalg/finite.ts, many matrices at once.

# bindings("linalg/finite", "finiteLayout");

override THREADS: u32 = 64;
const ROWS = 16u;
# include("infinity");

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let row = (number - problem.first) * ROWS;
  var largest = 0u;
  // A branch each, rather than one for each number.
# for (const [source, x] of ["x", "y", "z"].entries()) {
  if (problem.source == ${source}u) {
    for (var i = row; i < min(row + ROWS, problem.rows); i++) {
      let start = problem.offset + i * problem.stride;
      for (var j = thread; j < problem.cols; j += THREADS) {
        largest = max(largest, bitcast<u32>(${x}[start + j]) & INFINITY);
      }
    }
  }
# }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
}
