// A ← φ(Z), element by element, and A' beside it where a product reads that next; φ is one of KIND_…, identity included.
//
// Layout: Z and A are count × features matrices, one example a row, in `values` (in place where their offsets agree);
// A' is features × count in `transposed`. Offsets and strides in elements. A workgroup takes one row, its threads walk
// along the features. Dispatched by src/layers/activation.ts.
//
// Written by `npm run shaders` from source/activation.wgsl.

struct ActivationProblem {
  rows: u32,
  cols: u32,
  kind: u32,
  slope: f32,
  sourceOffset: u32,
  sourceStride: u32,
  targetOffset: u32,
  targetStride: u32,
  transpose: u32,
  transposedOffset: u32,
  transposedStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<ActivationProblem>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> transposed: array<f32>;

override THREADS: u32 = 64;

const KIND_RELU = 1u;
const KIND_LEAKY_RELU = 2u;
const KIND_TANH = 3u;
const KIND_LOGISTIC = 4u;

fn hyperbolicTangent(z: f32) -> f32 {
  let x = abs(z);
  let e = exp(-2.0 * x);
  let quotient = sign(z) * (1.0 - e) / (1.0 + e);
  // Where the quotient would lose digits; the series ends at a relative 1e-8.
  let s = z * z;
  let tail = fma(s, fma(s, f32(0.021869489), f32(-0.053968254)), f32(0.13333333));
  let series = fma(z * s, fma(s, tail, f32(-0.33333333)), z);
  return select(quotient, series, x < f32(0.25));
}

fn logistic(z: f32) -> f32 {
  let e = exp(-abs(z));
  return select(e, f32(1.0), z >= f32()) / (1.0 + e);
}

fn activate(kind: u32, slope: f32, z: f32) -> f32 {
  switch (kind) {
    case KIND_RELU: {
      return max(z, f32());
    }
    case KIND_LEAKY_RELU: {
      return select(slope * z, z, z > f32());
    }
    case KIND_TANH: {
      return hyperbolicTangent(z);
    }
    case KIND_LOGISTIC: {
      return logistic(z);
    }
    default: {
      return z;
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
  let source = problem.sourceOffset + row * problem.sourceStride;
  let into = problem.targetOffset + row * problem.targetStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    let a = activate(problem.kind, problem.slope, values[source + j]);
    values[into + j] = a;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + j * problem.transposedStride + row] = a;
    }
  }
}
