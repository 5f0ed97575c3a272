// Rows that come in groups of T, one group an example:
// - total:  out[e] ← f Σ_t x[e, t]            (f = 1/T for a mean)
// - centre: out[e, t] ← x[e, t] − (1/T) Σ_s x[e, s]
//
// Layout: x[e, t] is row e·T + t; offsets and strides in elements. A workgroup serves one group, its threads walk along
// the columns. Dispatched by src/curvature/kernels/positions.ts.
//
// Written by `npm run shaders` from source/positions.wgsl.

struct PositionsProblem {
  groups: u32,
  positions: u32,
  cols: u32,
  xOffset: u32,
  xStride: u32,
  outOffset: u32,
  outStride: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<PositionsProblem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

override THREADS: u32 = 64;

fn sum_of(start: u32, j: u32) -> f32 {
  var sum = 0.0;
  var at = start + j;
  for (var t = 0u; t < problems[0].positions; t++) {
    sum += x[at];
    at += problems[0].xStride;
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn total(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let e = id.x + id.y * count.x;
  if (e >= problems[0].groups) {
    return;
  }
  let start = problems[0].xOffset + e * problems[0].positions * problems[0].xStride;
  for (var j = thread; j < problems[0].cols; j += THREADS) {
    out[problems[0].outOffset + e * problems[0].outStride + j] = problems[0].factor * sum_of(start, j);
  }
}

@compute @workgroup_size(THREADS)
fn centre(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let e = id.x + id.y * count.x;
  if (e >= problems[0].groups) {
    return;
  }
  let first = e * problems[0].positions;
  let start = problems[0].xOffset + first * problems[0].xStride;
  for (var j = thread; j < problems[0].cols; j += THREADS) {
    let mean = sum_of(start, j) / f32(problems[0].positions);
    for (var t = 0u; t < problems[0].positions; t++) {
      out[problems[0].outOffset + (first + t) * problems[0].outStride + j] =
        x[start + t * problems[0].xStride + j] - mean;
    }
  }
}
