// M ← β₁M + (1 − β₁)G, V ← β₂V + (1 − β₂)G², U = (M / c₁) / (√(V / c₂) + ε) with the bias corrections cᵢ = 1 − βᵢᵗ (Kingma &
// Ba 2015, algorithm 1). Nothing changes when the gradient has a number that is not finite (flags[0] ≠ 0). Where a moment or
// U would not be finite, the moments stay as they are and U is 0: all U are finite.
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
    let g = gradient[i];
    let m = mix(g, first[i], settings.beta1);
    let v = mix(g * g, second[i], settings.beta2);
    let u = (m / settings.correction1) / (sqrt(v / settings.correction2) + settings.epsilon);
    if (finite(m) && finite(v) && finite(u)) {
      first[i] = m;
      second[i] = v;
      update[i] = u;
    } else {
      update[i] = 0.0;
    }
  }
}
