// The bits of |value|: they order numbers by size, and those of infinity and NaN are above all others.
fn magnitude(value: f32) -> u32 {
  return bitcast<u32>(value) & 0x7fffffffu;
}
