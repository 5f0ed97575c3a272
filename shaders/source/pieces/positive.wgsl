# include("finite");

fn positive(value: f32) -> bool {
  return value > 0.0 && finite(value);
}
