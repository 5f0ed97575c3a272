// The loss of each example, whether it is classified right, and its own derivative ∂Jᵢ/∂z (no division by N):
// - half squared error:     ½ Σ_c (z_c − t_c)²,                      z − t
// - softmax cross entropy:  −Σ_c t_c log p_c with p = softmax(z),    p − t   (Σ t = 1)
// - sigmoid cross entropy:  −Σ_c t_c log σ(z_c) + (1−t_c) log(1−σ(z_c)),  σ(z) − t
// All from differences to the largest output or from e^−|z|, so nothing overflows however large z is.
//
// Layout: outputs are examples × outputs in `values`, derivatives likewise in `deltas` and, where a product reads that next,
// outputs × examples in `transposed`; offsets and strides in elements.
// `targets` holds one class an example where `indexed`, else the bits of f32 numbers, examples × outputs.
// `results` holds the losses from element 0 and the flags from element `flags`. "Right": for softmax the first largest
// output is the target's first largest; for sigmoid every output is on its target's side of ½; never for squared error.
// One invocation an example. Dispatched by src/network/loss.ts.
//
// Written by `npm run shaders` from source/loss.wgsl.

struct LossProblem {
  kind: u32,
  indexed: u32,
  examples: u32,
  outputs: u32,
  valueOffset: u32,
  valueStride: u32,
  deltaOffset: u32,
  deltaStride: u32,
  gradient: u32,
  flags: u32,
  transpose: u32,
  transposedOffset: u32,
  transposedStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<LossProblem>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> deltas: array<f32>;
@group(0) @binding(4) var<storage, read_write> results: array<f32>;
@group(0) @binding(5) var<storage, read_write> transposed: array<f32>;

override THREADS: u32 = 64;

const SOFTMAX = 1u;
const SIGMOID = 2u;

fn targetOf(problem: LossProblem, example: u32, c: u32) -> f32 {
  if (problem.indexed == 1u) {
    return select(0.0, 1.0, targets[example] == c);
  }
  return bitcast<f32>(targets[example * problem.outputs + c]);
}

fn putDelta(problem: LossProblem, example: u32, c: u32, derivative: f32) {
  if (problem.gradient == 1u) {
    deltas[problem.deltaOffset + example * problem.deltaStride + c] = derivative;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + c * problem.transposedStride + example] = derivative;
    }
  }
}

// log(1 + x) for x ≥ 0, accurate where x is small.
fn logOnePlus(x: f32) -> f32 {
  return select(log(1.0 + x), x * (1.0 - 0.5 * x), x < 1e-3);
}

fn softmaxLoss(problem: LossProblem, example: u32, z: u32) -> vec2f {
  var largest = values[z];
  var guess = 0u;
  var truth = 0u;
  var truthTarget = targetOf(problem, example, 0u);
  for (var c = 1u; c < problem.outputs; c++) {
    if (values[z + c] > largest) {
      largest = values[z + c];
      guess = c;
    }
    let t = targetOf(problem, example, c);
    if (t > truthTarget) {
      truthTarget = t;
      truth = c;
    }
  }
  // `rest` leaves out the target's own class, so that 1 − p keeps its digits where p is almost 1.
  var rest = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    rest += select(exp(values[z + c] - largest), 0.0, c == truth);
  }
  let own = exp(values[z + truth] - largest);
  let total = rest + own;
  var logTotal = log(total);
  if (guess == truth) {
    logTotal = logOnePlus(rest);
  }
  var value = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    let t = targetOf(problem, example, c);
    let below = largest - values[z + c];
    if (t != 0.0) {
      value += t * (logTotal + below);
    }
    if (c == truth && t == 1.0) {
      putDelta(problem, example, c, -rest / total);
    } else {
      putDelta(problem, example, c, exp(-below) / total - t);
    }
  }
  return vec2f(value, select(0.0, 1.0, guess == truth));
}

fn sigmoidLoss(problem: LossProblem, example: u32, at: u32) -> vec2f {
  var value = 0.0;
  var right = 1.0;
  for (var c = 0u; c < problem.outputs; c++) {
    let z = values[at + c];
    let t = targetOf(problem, example, c);
    let e = exp(-abs(z));
    value += max(z, 0.0) - z * t + logOnePlus(e);
    if ((z > 0.0) != (t > 0.5)) {
      right = 0.0;
    }
    // σ(z) − t as −(1 − σ(z)) where t = 1: 1 − σ(z) = σ(−z) keeps its digits.
    let p = select(e, 1.0, z >= 0.0) / (1.0 + e);
    let complement = select(1.0, e, z >= 0.0) / (1.0 + e);
    putDelta(problem, example, c, select(p - t, -complement, t == 1.0));
  }
  return vec2f(value, right);
}

fn squaredLoss(problem: LossProblem, example: u32, z: u32) -> vec2f {
  var value = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    let difference = values[z + c] - targetOf(problem, example, c);
    value = fma(0.5 * difference, difference, value);
    putDelta(problem, example, c, difference);
  }
  return vec2f(value, 0.0);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let example = (id.x + id.y * count.x) * THREADS + thread;
  if (example >= problem.examples) {
    return;
  }
  let z = problem.valueOffset + example * problem.valueStride;
  var result = vec2f();
  if (problem.kind == SOFTMAX) {
    result = softmaxLoss(problem, example, z);
  } else if (problem.kind == SIGMOID) {
    result = sigmoidLoss(problem, example, z);
  } else {
    result = squaredLoss(problem, example, z);
  }
  results[example] = result.x;
  results[problem.flags + example] = result.y;
}
