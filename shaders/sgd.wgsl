// V ← μV + G + ωW, W ← W − ηV over all parameters at once. Nothing changes when the gradient has a number that is not
// finite (flags[0] ≠ 0), and a weight that would not be finite stays as it is.
//
// Layout: flat f32 arrays of equal length, padding zero. Dispatched by src/optimizers/directions/sgd.ts.
//
// Written by `npm run shaders` from source/sgd.wgsl.

struct SgdSettings {
  length: u32,
  learningRate: f32,
  momentum: f32,
  weightDecay: f32,
}

@group(0) @binding(0) var<uniform> settings: SgdSettings;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;

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
    let w = weights[i];
    let v = settings.momentum * velocity[i] + gradient[i] + settings.weightDecay * w;
    let next = w - settings.learningRate * v;
    if (finite(next) && finite(v)) {
      velocity[i] = v;
      weights[i] = next;
    }
  }
}
