// flags[problem.flag] |= problem.bit where the rows × cols matrix holds a number that is not finite.
//
// Layout: any stride, in one of three buffers, problem.source says which. A workgroup looks at ROWS rows. Dispatched by
// src/linalg/finite.ts, many matrices at once.
//
// Written by `npm run shaders` from source/finite.wgsl.

struct FiniteProblem {
  first: u32,
  rows: u32,
  cols: u32,
  offset: u32,
  stride: u32,
  flag: u32,
  bit: u32,
  source: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<FiniteProblem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>;

override THREADS: u32 = 64;
const ROWS = 16u;
// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

@compute @workgroup_size(THREADS)
fn main(
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
  let row = (number - problem.first) * ROWS;
  var largest = 0u;
  // A branch each, rather than one for each number.
  if (problem.source == 0u) {
    for (var i = row; i < min(row + ROWS, problem.rows); i++) {
      let start = problem.offset + i * problem.stride;
      for (var j = thread; j < problem.cols; j += THREADS) {
        largest = max(largest, bitcast<u32>(x[start + j]) & INFINITY);
      }
    }
  }
  if (problem.source == 1u) {
    for (var i = row; i < min(row + ROWS, problem.rows); i++) {
      let start = problem.offset + i * problem.stride;
      for (var j = thread; j < problem.cols; j += THREADS) {
        largest = max(largest, bitcast<u32>(y[start + j]) & INFINITY);
      }
    }
  }
  if (problem.source == 2u) {
    for (var i = row; i < min(row + ROWS, problem.rows); i++) {
      let start = problem.offset + i * problem.stride;
      for (var j = thread; j < problem.cols; j += THREADS) {
        largest = max(largest, bitcast<u32>(z[start + j]) & INFINITY);
      }
    }
  }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
}
