// V ← μV + G + ωW, W ← W − ηV over all parameters at once. Nothing changes when the gradient has a number that is not
// finite (flags[0] ≠ 0), and a weight that would not be finite stays as it is.
//
// Layout: flat f32 arrays of equal length, padding zero. Dispatched by src/optimizers/directions/sgd.ts.

# bindings("optimizers/directions/sgd", "sgdLayout");

# include("finite");

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) count: vec3u) {
  if (flags[0] != 0u) {
    return;
  }
  for (var i = id.x; i < settings.length; i += count.x * 64u) {
    let w = weights[i];
    let v = settings.momentum * velocity[i] + gradient[i] + settings.weightDecay * w;
    let next = w - settings.learningRate * v;
    if (finite(next) && finite(v)) {
      velocity[i] = v;
      weights[i] = next;
    }
  }
}
