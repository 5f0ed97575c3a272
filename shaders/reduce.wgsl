// result[index] ← scale · Σ x, or scale · Σ x∘y, over a rows × cols matrix. Two kernels, both in a fixed order: `partial`
// sums chunks of CHUNK numbers (a thread takes every THREADS-th, then a tree over the threads), `total` adds a
// problem's chunks one after another. Where every problem has a single chunk, `partials` with DIRECT is all there is. The same
// inputs give the same bits, run after run.
//
// Layout: offsets and strides in elements. x and y may be any matrix; a diagonal is one with stride n + 1 and one
// column. Dispatched by src/linalg/reduce.ts, many problems at once.
//
// Written by `npm run shaders` from source/reduce.wgsl.

struct ReduceProblem {
  first: u32,
  chunks: u32,
  rows: u32,
  cols: u32,
  xOffset: u32,
  xStride: u32,
  yOffset: u32,
  yStride: u32,
  product: u32,
  result: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<ReduceProblem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

override THREADS: u32 = 64;
// 1 where `partials` writes the results themselves.
override DIRECT: u32 = 0;
const CHUNK = 4096u;

var<workgroup> sums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn partials(
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
  let chunk = number - problem.first;
  let end = min((chunk + 1u) * CHUNK, problem.rows * problem.cols);
  var sum = 0.0;
  // The place of e, kept by additions: a division for each number would cost more than the sum.
  let start = chunk * CHUNK + thread;
  var i = start / problem.cols;
  var j = start % problem.cols;
  for (var e = start; e < end; e += THREADS) {
    let value = x[problem.xOffset + i * problem.xStride + j];
    if (problem.product == 1u) {
      sum = fma(value, y[problem.yOffset + i * problem.yStride + j], sum);
    } else {
      sum += value;
    }
    i += THREADS / problem.cols;
    j += THREADS % problem.cols;
    if (j >= problem.cols) {
      i++;
      j -= problem.cols;
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u && chunk < problem.chunks) {
    if (DIRECT != 0u) {
      results[problem.result] = problem.scale * sums[0];
    } else {
      results[number] = sums[0];
    }
  }
}

// Here x holds the partial sums.
@compute @workgroup_size(1)
fn totals(@builtin(workgroup_id) id: vec3u) {
  let problem = problems[id.x];
  var sum = 0.0;
  for (var chunk = 0u; chunk < problem.chunks; chunk++) {
    sum += x[problem.first + chunk];
  }
  results[problem.result] = problem.scale * sum;
}
