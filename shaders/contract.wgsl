// Two contractions of stacked columns b with rows z of the same length, for the curvature of a linear layer:
// - project:  y[c, e] = Σ_t ⟨b[c, e, t], z[e, t]⟩
// - weigh:    z[e, t] = Σ_c y[c, e] b[c, e, t]
// e counts examples, c columns of each, t the positions that project sums over. Both add in a fixed order.
//
// Layout: b[c, e, t] is row c·bColumn + (e / share)·bExample + t·bPosition of b, z[e, t] row e·zExample + t·zPosition of
// z, y[c, e] number c·examples + e of y. Offsets and strides of rows in elements. Strides of b and z in project's
// dispatches are those of weigh's too, but z is written there, and y read. LANES threads share a sum of project, a
// workgroup of THREADS does THREADS / LANES of them; weigh gives a workgroup one row. Dispatched by
// src/linalg/contract.ts.

struct ContractProblem {
  examples: u32,
  columns: u32,
  positions: u32,
  length: u32,
  share: u32,
  bOffset: u32,
  bStride: u32,
  bColumn: u32,
  bExample: u32,
  bPosition: u32,
  zOffset: u32,
  zStride: u32,
  zExample: u32,
  zPosition: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<ContractProblem>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

override THREADS: u32 = 64;
override LANES: u32 = 1;

var<workgroup> sums: array<f32, THREADS>;

// x is z and out is y.
@compute @workgroup_size(THREADS)
fn project(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = (id.x + id.y * count.x) * (THREADS / LANES) + thread / LANES;
  let lane = thread % LANES;
  let inside = number < problem.columns * problem.examples;
  let c = number / problem.examples;
  let e = number % problem.examples;
  var sum = 0.0;
  if (inside) {
    var bRow = problem.bOffset + (c * problem.bColumn + (e / problem.share) * problem.bExample) * problem.bStride;
    var zRow = problem.zOffset + e * problem.zExample * problem.zStride;
    for (var t = 0u; t < problem.positions; t++) {
      for (var j = lane; j < problem.length; j += LANES) {
        sum = fma(b[bRow + j], x[zRow + j], sum);
      }
      bRow += problem.bPosition * problem.bStride;
      zRow += problem.zPosition * problem.zStride;
    }
  }
  if (LANES > 1u) {
    sums[thread] = sum;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      if (lane < half) {
        sums[thread] += sums[thread + half];
      }
      workgroupBarrier();
    }
    sum = sums[thread];
  }
  if (inside && lane == 0u) {
    out[number] = sum;
  }
}

// x is y and out is z.
@compute @workgroup_size(THREADS)
fn weigh(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = id.x + id.y * count.x;
  let e = number / problem.positions;
  let t = number % problem.positions;
  if (e >= problem.examples) {
    return;
  }
  let bRow = problem.bOffset + ((e / problem.share) * problem.bExample + t * problem.bPosition) * problem.bStride;
  let zRow = problem.zOffset + (e * problem.zExample + t * problem.zPosition) * problem.zStride;
  let step = problem.bColumn * problem.bStride;
  for (var j = thread; j < problem.length; j += THREADS) {
    var sum = 0.0;
    var at = bRow + j;
    for (var c = 0u; c < problem.columns; c++) {
      sum = fma(x[c * problem.examples + e], b[at], sum);
      at += step;
    }
    out[zRow + j] = sum;
  }
}
