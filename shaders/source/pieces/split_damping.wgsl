// π = √a / √b from the mean eigenvalues of the two factors; what it was where one of them is not finite, to fit the inverse that
// is kept, and 1 where it cannot be had.
fn split(a: f32, b: f32, before: f32) -> f32 {
  if (usable(a) && usable(b)) {
    return sqrt(a) / sqrt(b);
  }
  return select(1.0, before, !(finite(a) && finite(b)) && before > 0.0);
}
