// A ← φ(Z), element by element, and A' beside it where a product reads that next; φ is one of KIND_…, identity included.
//
// Layout: Z and A are count × features matrices, one example a row, in `values` (in place where their offsets agree);
// A' is features × count in `transposed`. Offsets and strides in elements. A workgroup takes one row, its threads walk
// along the features. Neither tanh nor the logistic function can overflow here. Dispatched by src/layers/activation.ts.

# bindings("layers/activation", "activationLayout");

override THREADS: u32 = 64;

# include("activation_kinds");

fn hyperbolicTangent(z: f32) -> f32 {
  let x = abs(z);
  if (x < 0.25) {
    // The quotient below would lose digits; the series ends at a relative 1e-8.
    let s = z * z;
    let tail = fma(s, fma(s, 0.021869489, -0.053968254), 0.13333333);
    return fma(z * s, fma(s, tail, -0.33333333), z);
  }
  let e = exp(-2.0 * x);
  return sign(z) * (1.0 - e) / (1.0 + e);
}

fn logistic(z: f32) -> f32 {
  let e = exp(-abs(z));
  return select(e, 1.0, z >= 0.0) / (1.0 + e);
}

fn activate(kind: u32, slope: f32, z: f32) -> f32 {
  switch (kind) {
    case KIND_RELU: {
      return max(z, 0.0);
    }
    case KIND_LEAKY_RELU: {
      return select(slope * z, z, z > 0.0);
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
