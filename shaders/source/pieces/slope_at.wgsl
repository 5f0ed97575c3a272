# // φ' of numbers of a type, f32 or vec4f, from a = φ(z). Needs activation_kinds.
// At zero, relu and leakyRelu take the slope of the negative side.
fn slopeAt(kind: u32, slope: f32, a: ${type}) -> ${type} {
  switch (kind) {
    case KIND_RELU: {
      return select(${type}(), ${type}(1.0), a > ${type}());
    }
    case KIND_LEAKY_RELU: {
      return select(${type}(slope), ${type}(1.0), a > ${type}());
    }
    case KIND_TANH: {
      return (1.0 - a) * (1.0 + a);
    }
    case KIND_LOGISTIC: {
      return a * (1.0 - a);
    }
    default: {
      return ${type}(1.0);
    }
  }
}
