// E ← 2^-e S with 2^e ≤ max |S_ij| < 2^(e+1): scaled by a power of two, so exactly, and symmetric from S's lower half. Two
// kernels: `largest` finds the bits of max |S_ij|, `load` writes E.
//
// Layout: S in f32 with any stride; E is size × size with size n rounded up to four, padded by zeros. state holds four
// words a matrix, zero at first: bits of the largest entry, then what eigh_ql.wgsl keeps there. Status bit 2: S holds a
// number that is not finite, and E is zero. Dispatched by src/linalg/eigh.ts: a workgroup for ROWS rows, many matrices at
// once.
//
// Written by `npm run shaders` from source/eigh_prepare.wgsl.

struct EighProblem {
  first: u32,
  n: u32,
  size: u32,
  offset: u32,
  stride: u32,
  matrixOffset: u32,
  reflectorOffset: u32,
  vectorOffset: u32,
  rotationOffset: u32,
  capacity: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<EighProblem>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> work: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

override THREADS: u32 = 64;
const ROWS = 16u;
// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;
const NOT_FINITE = 2u;

// The bits of |value|: they order numbers by size, and those of infinity and NaN are above all others.
fn magnitude(value: f32) -> u32 {
  return bitcast<u32>(value) & 0x7fffffffu;
}

@compute @workgroup_size(THREADS)
fn largest(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
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
  let number = id.x + id.y * count.x;
  // The last problem whose first workgroup is not after this one.
  var index = 0u;
  for (var end = arrayLength(&problems); end - index > 1u;) {
    let middle = (index + end) / 2u;
    let before = problems[middle].first <= number;
    index = select(index, middle, before);
    end = select(middle, end, before);
  }
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
