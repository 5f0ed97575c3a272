# // φ of numbers of a type, f32 or vec4f. Neither tanh nor the logistic function can overflow here.
# include("activation_kinds");

fn hyperbolicTangent(z: ${type}) -> ${type} {
  let x = abs(z);
  let e = exp(-2.0 * x);
  let quotient = sign(z) * (1.0 - e) / (1.0 + e);
  // Where the quotient would lose digits; the series ends at a relative 1e-8.
  let s = z * z;
  let tail = fma(s, fma(s, ${type}(0.021869489), ${type}(-0.053968254)), ${type}(0.13333333));
  let series = fma(z * s, fma(s, tail, ${type}(-0.33333333)), z);
  return select(quotient, series, x < ${type}(0.25));
}

fn logistic(z: ${type}) -> ${type} {
  let e = exp(-abs(z));
  return select(e, ${type}(1.0), z >= ${type}()) / (1.0 + e);
}

fn activate(kind: u32, slope: f32, z: ${type}) -> ${type} {
  switch (kind) {
    case KIND_RELU: {
      return max(z, ${type}());
    }
    case KIND_LEAKY_RELU: {
      return select(slope * z, z, z > ${type}());
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
