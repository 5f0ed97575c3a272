// target[b, i, j] ← source[b, i, j], or 1 where the problem fills: strided copy, transposition, packing, a row of ones.
//
// Layout: every index has a stride of its own on both sides, in elements. A workgroup copies one line (b, i), its
// threads walk along j. Problem.pair says which source and which target: 0, 1, or 2 where the second source goes to the first
// target. Dispatched by src/linalg/layout/copy.ts, many problems at once.
//
// Written by `npm run shaders` from source/copy.wgsl.

struct CopyProblem {
  first: u32,
  batch: u32,
  rows: u32,
  cols: u32,
  fill: u32,
  sourceOffset: u32,
  sourceBatch: u32,
  sourceRow: u32,
  sourceCol: u32,
  targetOffset: u32,
  targetBatch: u32,
  targetRow: u32,
  targetCol: u32,
  pair: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<CopyProblem>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> source2: array<f32>;
@group(0) @binding(3) var<storage, read_write> copied: array<f32>;
@group(0) @binding(4) var<storage, read_write> copied2: array<f32>;

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
  let line = number - problem.first;
  let b = line / problem.rows;
  let i = line % problem.rows;
  if (b >= problem.batch) {
    return;
  }
  let start = problem.sourceOffset + b * problem.sourceBatch + i * problem.sourceRow;
  let written = problem.targetOffset + b * problem.targetBatch + i * problem.targetRow;
  if (problem.pair == 0u && problem.fill == 1u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = 1.0;
    }
  }
  if (problem.pair == 0u && problem.fill == 0u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = source[start + j * problem.sourceCol];
    }
  }
  if (problem.pair == 1u && problem.fill == 1u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied2[written + j * problem.targetCol] = 1.0;
    }
  }
  if (problem.pair == 1u && problem.fill == 0u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied2[written + j * problem.targetCol] = source2[start + j * problem.sourceCol];
    }
  }
  if (problem.pair == 2u && problem.fill == 1u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = 1.0;
    }
  }
  if (problem.pair == 2u && problem.fill == 0u) {
    for (var j = thread; j < problem.cols; j += THREADS) {
      copied[written + j * problem.targetCol] = source2[start + j * problem.sourceCol];
    }
  }
}
