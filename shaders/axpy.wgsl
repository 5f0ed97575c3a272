// y ← y + α x over rows × cols matrices. Layout: any strides, in elements. A workgroup adds one row. Dispatched by
// src/linalg/axpy.ts, many problems at once.
//
// Written by `npm run shaders` from source/axpy.wgsl.

struct AxpyProblem {
  first: u32,
  rows: u32,
  cols: u32,
  xOffset: u32,
  xStride: u32,
  yOffset: u32,
  yStride: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<AxpyProblem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

override THREADS: u32 = 64;

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
  let i = number - problem.first;
  if (i >= problem.rows) {
    return;
  }
  let source = problem.xOffset + i * problem.xStride;
  let sum = problem.yOffset + i * problem.yStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    y[sum + j] = fma(problem.alpha, x[source + j], y[sum + j]);
  }
}
