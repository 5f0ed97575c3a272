// target ← source where flags[problem.flag] is 0, and 0 elsewhere: numbers that are not finite stop here.
//
// Layout: any strides, in elements. A workgroup copies one row. Dispatched by src/linalg/guard.ts, many matrices at once.
//
// Written by `npm run shaders` from source/guard.wgsl.

struct GuardProblem {
  first: u32,
  rows: u32,
  cols: u32,
  sourceOffset: u32,
  sourceStride: u32,
  targetOffset: u32,
  targetStride: u32,
  flag: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<GuardProblem>;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> guarded: array<f32>;

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
  let passes = flags[problem.flag] == 0u;
  let start = problem.sourceOffset + i * problem.sourceStride;
  let written = problem.targetOffset + i * problem.targetStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    guarded[written + j] = select(0.0, source[start + j], passes);
  }
}
