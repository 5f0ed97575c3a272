// D ← S ∘ φ'(Z) with φ' taken from the output A = φ(Z), and D' beside it where a product reads that next. S and D are both
// derivatives back through the network (then they are one matrix) or both along directions.
//
// Layout: S and D are rows × features in `deltas`, several blocks of one row per example under each other: row r belongs to
// example r mod examples, a row of A in `values`. D' is features × rows in `transposed`. Offsets and strides in
// elements. A workgroup takes one row. Dispatched by src/layers/activation.ts.
//
// Written by `npm run shaders` from source/activation_backward.wgsl.

struct BackwardProblem {
  rows: u32,
  cols: u32,
  examples: u32,
  kind: u32,
  slope: f32,
  valueOffset: u32,
  valueStride: u32,
  sourceOffset: u32,
  sourceStride: u32,
  deltaOffset: u32,
  deltaStride: u32,
  transpose: u32,
  transposedOffset: u32,
  transposedStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<BackwardProblem>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> deltas: array<f32>;
@group(0) @binding(3) var<storage, read_write> transposed: array<f32>;

override THREADS: u32 = 64;

const KIND_RELU = 1u;
const KIND_LEAKY_RELU = 2u;
const KIND_TANH = 3u;
const KIND_LOGISTIC = 4u;
// At zero, relu and leakyRelu take the slope of the negative side.
fn slopeAt(kind: u32, slope: f32, a: f32) -> f32 {
  switch (kind) {
    case KIND_RELU: {
      return select(f32(), f32(1.0), a > f32());
    }
    case KIND_LEAKY_RELU: {
      return select(f32(slope), f32(1.0), a > f32());
    }
    case KIND_TANH: {
      return (1.0 - a) * (1.0 + a);
    }
    case KIND_LOGISTIC: {
      return a * (1.0 - a);
    }
    default: {
      return f32(1.0);
    }
  }
}

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
  let value = problem.valueOffset + (row % problem.examples) * problem.valueStride;
  let source = problem.sourceOffset + row * problem.sourceStride;
  let at = problem.deltaOffset + row * problem.deltaStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let delta = deltas[source + j] * slopeAt(problem.kind, problem.slope, values[value + j]);
    deltas[at + j] = delta;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + j * problem.transposedStride + row] = delta;
    }
  }
}
