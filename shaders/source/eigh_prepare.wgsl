// E ← 2^-e S with 2^e ≤ max |S_ij| < 2^(e+1): scaled by a power of two, so exactly, and symmetric from S's lower half. Two
// kernels: `largest` finds the bits of max |S_ij|, `load` writes E.
//
// Layout: S in f32 with any stride; E is size × size with size n rounded up to four, padded by zeros. state holds four
// words a matrix, zero at first: bits of the largest entry, then what eigh_ql.wgsl keeps there. Status bit 2: S holds a
// number that is not finite, and E is zero. Dispatched by src/linalg/eigh.ts: a workgroup for ROWS rows, many matrices at
// once.

# bindings("linalg/eigh-kernels", "prepareLayout");

override THREADS: u32 = 64;
const ROWS = 16u;
# include("infinity");
const NOT_FINITE = 2u;

# include("magnitude");

@compute @workgroup_size(THREADS)
fn largest(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let start = (number - problem.first) * ROWS;
  let end = min(start + ROWS, problem.n);
  var bits = 0u;
  for (var i = start; i < end; i++) {
    for (var j = thread; j <= i; j += THREADS) {
      bits = max(bits, magnitude(s[problem.offset + i * problem.stride + j]));
    }
  }
  if (bits > 0u) {
    atomicMax(&state[4u * problem.index], bits);
  }
}

@compute @workgroup_size(THREADS)
fn load(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let start = (number - problem.first) * ROWS;
  let end = min(start + ROWS, problem.size);
  let bits = atomicLoad(&state[4u * problem.index]);
  let exponent = clamp(bits >> 23u, 1u, 253u);
  let scale = bitcast<f32>((254u - exponent) << 23u);
  let isFinite = bits < INFINITY;
  for (var i = start; i < end; i++) {
    for (var j = thread; j < problem.size; j += THREADS) {
      var value = 0.0;
      if (isFinite && i < problem.n && j < problem.n) {
        value = scale * s[problem.offset + max(i, j) * problem.stride + min(i, j)];
      }
      work[problem.matrixOffset + i * problem.size + j] = value;
    }
  }
  if (!isFinite && start == 0u && thread == 0u) {
    atomicOr(&status[problem.index], NOT_FINITE);
  }
}
