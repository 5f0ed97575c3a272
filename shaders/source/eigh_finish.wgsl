// The eigenvalues in rising order, times 2^e, and the eigenvectors as the columns of V. Two kernels: `values` finds each
// one's place (equal ones keep their order) and writes the eigenvalues, `vectors` writes V.
//
// Layout: d at 3 · vectorOffset of tridiagonal, Q' size × size in work, state as in eigh_ql.wgsl. order (size numbers at
// vectorOffset) says which row of Q' is column j of V. out is a matrix or a vector of the caller's. Status bit 8: the
// rounds ran out before T was diagonal. Where S was not finite, out keeps its contents. Dispatched by src/linalg/eigh.ts:
// `values` a workgroup for THREADS eigenvalues, `vectors` a workgroup for ROWS rows of V, many matrices at once.

# bindings("linalg/eigh-kernels", "finishLayout");

override THREADS: u32 = 64;
const ROWS = 16u;
# include("infinity");
const LARGEST = 3.4028e38;
const NOT_CONVERGED = 8u;

@compute @workgroup_size(THREADS)
fn values(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let bits = state[4u * problem.index];
  let j = (number - problem.first) * THREADS + thread;
  if (j >= problem.n || bits >= INFINITY) {
    return;
  }
  let d = 3u * problem.vectorOffset;
  let value = tridiagonal[d + j];
  var place = 0u;
  for (var other = 0u; other < problem.n; other++) {
    let than = tridiagonal[d + other];
    place += select(0u, 1u, than < value || (than == value && other < j));
  }
  order[problem.vectorOffset + place] = j;
  let exponent = clamp(bits >> 23u, 1u, 253u);
  let scale = bitcast<f32>(exponent << 23u);
  let limit = LARGEST * min(1.0, bitcast<f32>((254u - exponent) << 23u));
  out[problem.offset + place] = scale * clamp(value, -limit, limit);
  if (j == 0u && state[4u * problem.index + 1u] + 1u < problem.n) {
    atomicOr(&status[problem.index], NOT_CONVERGED);
  }
}

@compute @workgroup_size(THREADS)
fn vectors(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  if (state[4u * problem.index] >= INFINITY) {
    return;
  }
  let start = (number - problem.first) * ROWS;
  let end = min(start + ROWS, problem.n);
  for (var j = thread; j < problem.n; j += THREADS) {
    let row = problem.matrixOffset + order[problem.vectorOffset + j] * problem.size;
    for (var i = start; i < end; i++) {
      out[problem.offset + i * problem.stride + j] = work[row + i];
    }
  }
}
