// Row r ← column k of the identity, with k the index of position r: (1, 0, …) for k = 0.
//
// Layout: indices hold one example a row, `positions` of them; rows are those of all positions, i·T + t, `cols` numbers
// each. Offsets and strides in elements. A workgroup writes one row, its threads walk along it. Dispatched by
// src/layers/one-hot.ts.
//
// Written by `npm run shaders` from source/one_hot.wgsl.

struct OneHotProblem {
  rows: u32,
  cols: u32,
  positions: u32,
  indexOffset: u32,
  indexStride: u32,
  rowOffset: u32,
  rowStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<OneHotProblem>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> columns: array<f32>;

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= problem.rows) {
    return;
  }
  let example = row / problem.positions;
  let index = indices[problem.indexOffset + example * problem.indexStride + row % problem.positions];
  let into = problem.rowOffset + row * problem.rowStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    columns[into + j] = select(0.0, 1.0, j == index);
  }
}
