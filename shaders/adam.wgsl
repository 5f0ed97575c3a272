// M ← β₁M + (1 − β₁)G, V ← β₂V + (1 − β₂)G², U = (M / c₁) / (√(V / c₂) + ε) with the bias corrections cᵢ = 1 − βᵢᵗ (Kingma &
// Ba 2015, algorithm 1). Nothing changes when the gradient has a number that is not finite (flags[0] ≠ 0). Where a moment or
// U would not be finite, the moments stay as they are and U is 0: all U are finite.
//
// Layout: flat f32 arrays of equal length, padding zero. Dispatched by src/optimizers/directions/adam.ts.
//
// Written by `npm run shaders` from source/adam.wgsl.

struct AdamSettings {
  length: u32,
  beta1: f32,
  beta2: f32,
  correction1: f32,
  correction2: f32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> settings: AdamSettings;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<storage, read_write> update: array<f32>;

// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

fn finite(value: f32) -> bool {
  return (bitcast<u32>(value) & INFINITY) != INFINITY;
}

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
