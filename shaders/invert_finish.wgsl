// X ← −D^-½ E D^-½, the inverse of S + λI from the swept lower half of E, written mirrored so that X is symmetric to the
// bit. A matrix whose status has bit 1 (not positive definite) or 2 (non-finite) keeps the X it had.
//
// Layout: X in f32 with any stride. A workgroup writes ROWS rows and their mirror image. Dispatched by src/linalg/invert.ts,
// many matrices at once.
//
// Written by `npm run shaders` from source/invert_finish.wgsl.

struct InvertProblem {
  first: u32,
  n: u32,
  size: u32,
  sOffset: u32,
  sStride: u32,
  workOffset: u32,
  scaleOffset: u32,
  xOffset: u32,
  xStride: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<InvertProblem>;
@group(0) @binding(1) var<storage, read> status: array<u32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> work: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;

override THREADS: u32 = 64;
const ROWS = 4u;
const FAILED = 3u;

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
  if ((status[problem.index] & FAILED) != 0u) {
    return;
  }
  let first = (number - problem.first) * ROWS;
  for (var i = first; i < min(first + ROWS, problem.n); i++) {
    let rowScale = -scales[problem.scaleOffset + i];
    for (var j = thread; j <= i; j += THREADS) {
      let value = work[problem.workOffset + i * problem.size + j] * rowScale * scales[problem.scaleOffset + j];
      x[problem.xOffset + i * problem.xStride + j] = value;
      x[problem.xOffset + j * problem.xStride + i] = value;
    }
  }
}
