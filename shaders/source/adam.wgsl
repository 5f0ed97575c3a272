// M ← β₁M + (1 − β₁)g, V ← β₂V + (1 − β₂)g², U = (M / c₁) / (√(V / c₂) + ε), W ← W − ηU with g = G + ωW and the bias
// corrections cᵢ = 1 − βᵢᵗ (Kingma & Ba 2015, algorithm 1). Nothing changes when the gradient has a number that is not
// finite (flags[0] ≠ 0), and a weight that would not be finite stays as it is.
//
// Layout: flat f32 arrays of equal length, padding zero. Dispatched by src/optimizers/directions/adam.ts.

# bindings("optimizers/directions/adam", "adamLayout");

# include("finite");

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) count: vec3u) {
  if (flags[0] != 0u) {
    return;
  }
  for (var i = id.x; i < settings.length; i += count.x * 64u) {
    let w = weights[i];
    let g = gradient[i] + settings.weightDecay * w;
    let m = mix(g, first[i], settings.beta1);
    let v = mix(g * g, second[i], settings.beta2);
    let u = (m / settings.correction1) / (sqrt(v / settings.correction2) + settings.epsilon);
    let next = w - settings.learningRate * u;
    if (finite(next) && finite(m) && finite(v)) {
      first[i] = m;
      second[i] = v;
      update[i] = u;
      weights[i] = next;
    }
  }
}
