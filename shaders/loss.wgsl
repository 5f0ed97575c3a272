// The loss of each example, whether it is classified right, and its own derivative ∂Jᵢ/∂z (no division by N), and below the
// derivatives the columns of Bᵢ that the curvature is made of, where some are asked for:
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
// Row r of `deltas` is the derivative of example r, and from r = N on column r / N − 1 of example r mod N. `key` is a buffer of its
// own because it changes every step. One invocation a row. Dispatched by src/network/loss.ts.
//
// Written by `npm run shaders` from source/loss.wgsl.

struct LossProblem {
  kind: u32,
  indexed: u32,
  examples: u32,
  rows: u32,
  sampled: u32,
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
@group(0) @binding(2) var<storage, read> key: vec3u;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read_write> deltas: array<f32>;
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
@group(0) @binding(6) var<storage, read_write> transposed: array<f32>;

override THREADS: u32 = 64;

const SOFTMAX = 1u;
const SIGMOID = 2u;

fn targetOf(problem: LossProblem, example: u32, c: u32) -> f32 {
  if (problem.indexed == 1u) {
    return select(0.0, 1.0, targets[example] == c);
  }
  return bitcast<f32>(targets[example * problem.outputs + c]);
}

fn put(problem: LossProblem, row: u32, c: u32, derivative: f32) {
  if (problem.gradient == 1u) {
    deltas[problem.deltaOffset + row * problem.deltaStride + c] = derivative;
    if (problem.transpose == 1u) {
      transposed[problem.transposedOffset + c * problem.transposedStride + row] = derivative;
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
      put(problem, example, c, -rest / total);
    } else {
      put(problem, example, c, exp(-below) / total - t);
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
    put(problem, example, c, select(p - t, -complement, t == 1.0));
  }
  return vec2f(value, right);
}

fn squaredLoss(problem: LossProblem, example: u32, z: u32) -> vec2f {
  var value = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    let difference = values[z + c] - targetOf(problem, example, c);
    value = fma(0.5 * difference, difference, value);
    put(problem, example, c, difference);
  }
  return vec2f(value, 0.0);
}

// Column k of Bᵢ at the outputs:
// - exact:       column k of Λ^½: softmax √p_k (e_k − p), sigmoid √(σ(1−σ)) e_k, half squared error e_k
// - monteCarlo:  ∂Jᵢ/∂z at a target drawn from the model, sample k: softmax p − onehot(class), sigmoid σ(z) − y,
//                half squared error −ε
// Draws are Threefry-2x32, 20 rounds (Salmon et al. 2011), key (seed, step), counter (index, sample): index e for
// softmax, e·outputs + c for the others, as src/reference/loss.ts describes; the bits are the same there. e = first + i is the
// number of the example in a batch that comes in parts; `key` is (seed, step, first).
const TWO_PI = 6.2831853;

fn fourRounds(start: vec2u, turns: vec4u) -> vec2u {
  var x = start;
  var turn = turns;
  for (var r = 0u; r < 4u; r++) {
    x.x += x.y;
    x.y = ((x.y << turn.x) | (x.y >> (32u - turn.x))) ^ x.x;
    turn = turn.yzwx;
  }
  return x;
}

fn threefry(seed: vec2u, counter: vec2u) -> vec2u {
  let even = vec4u(13u, 15u, 26u, 6u);
  let odd = vec4u(17u, 29u, 16u, 24u);
  let parity = seed.x ^ seed.y ^ 0x1bd11bdau;
  var x = counter + seed;
  x = fourRounds(x, even) + vec2u(seed.y, parity + 1u);
  x = fourRounds(x, odd) + vec2u(parity, seed.x + 2u);
  x = fourRounds(x, even) + vec2u(seed.x, seed.y + 3u);
  x = fourRounds(x, odd) + vec2u(seed.y, parity + 4u);
  x = fourRounds(x, even) + vec2u(parity, seed.x + 5u);
  return x;
}

// In the open interval (0, 1), and exact in f32.
fn uniformOf(bits: u32) -> f32 {
  return (f32(bits >> 9u) + 0.5) * 0x1p-23;
}

// cos 2πu for u in [0, 1], as sin z by its series: some devices' own cosine has three digits, and all may.
fn cosineOfTurn(u: f32) -> f32 {
  let z = TWO_PI * (abs(u - 0.5) - 0.25);
  let s = z * z;
  return z * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0)))));
}

// The class of one draw: the first whose running sum of probabilities exceeds u, else the last.
fn sampledClass(z: u32, outputs: u32, largest: f32, total: f32, u: f32) -> u32 {
  var running = 0.0;
  for (var c = 0u; c < outputs; c++) {
    running += exp(values[z + c] - largest) / total;
    if (running > u) {
      return c;
    }
  }
  return outputs - 1u;
}

fn softmaxRow(problem: LossProblem, example: u32, column: u32, z: u32, row: u32) {
  var largest = values[z];
  for (var c = 1u; c < problem.outputs; c++) {
    largest = max(largest, values[z + c]);
  }
  var total = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    total += exp(values[z + c] - largest);
  }
  var chosen = column;
  var factor = -sqrt(exp(values[z + column % problem.outputs] - largest) / total);
  if (problem.sampled == 1u) {
    let u = uniformOf(threefry(key.xy, vec2u(key.z + example, column)).x);
    chosen = sampledClass(z, problem.outputs, largest, total, u);
    factor = 1.0;
  }
  // Without the chosen class, so that 1 − p keeps its digits where p is almost 1.
  var rest = 0.0;
  for (var c = 0u; c < problem.outputs; c++) {
    rest += select(exp(values[z + c] - largest), 0.0, c == chosen);
  }
  for (var c = 0u; c < problem.outputs; c++) {
    let p = select(exp(values[z + c] - largest), -rest, c == chosen) / total;
    put(problem, row, c, factor * p);
  }
}

fn sigmoidRow(problem: LossProblem, example: u32, column: u32, z: u32, row: u32) {
  for (var c = 0u; c < problem.outputs; c++) {
    let output = values[z + c];
    let e = exp(-abs(output));
    let p = select(e, 1.0, output >= 0.0) / (1.0 + e);
    let complement = select(1.0, e, output >= 0.0) / (1.0 + e);
    if (problem.sampled == 1u) {
      let u = uniformOf(threefry(key.xy, vec2u((key.z + example) * problem.outputs + c, column)).x);
      put(problem, row, c, select(p, -complement, u < p));
    } else {
      put(problem, row, c, select(0.0, sqrt(p * complement), c == column));
    }
  }
}

fn squaredRow(problem: LossProblem, example: u32, column: u32, row: u32) {
  for (var c = 0u; c < problem.outputs; c++) {
    if (problem.sampled == 1u) {
      let words = threefry(key.xy, vec2u((key.z + example) * problem.outputs + c, column));
      // A logarithm near 1 may come out on the wrong side of 0.
      let radius = sqrt(max(-2.0 * log(uniformOf(words.x)), 0.0));
      put(problem, row, c, -radius * cosineOfTurn(uniformOf(words.y)));
    } else {
      put(problem, row, c, select(0.0, 1.0, c == column));
    }
  }
}

fn column(problem: LossProblem, example: u32, column: u32, z: u32, row: u32) {
  if (problem.kind == SOFTMAX) {
    softmaxRow(problem, example, column, z, row);
  } else if (problem.kind == SIGMOID) {
    sigmoidRow(problem, example, column, z, row);
  } else {
    squaredRow(problem, example, column, row);
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let row = (id.x + id.y * count.x) * THREADS + thread;
  if (row >= problem.rows) {
    return;
  }
  let example = row % problem.examples;
  let z = problem.valueOffset + example * problem.valueStride;
  if (row >= problem.examples) {
    column(problem, example, row / problem.examples - 1u, z, row);
    return;
  }
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
