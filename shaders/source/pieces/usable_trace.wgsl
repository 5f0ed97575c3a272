const SMALLEST_NORMAL = 1.17549435e-38;

fn usable(trace: f32) -> bool {
  return finite(trace) && trace >= SMALLEST_NORMAL;
}
