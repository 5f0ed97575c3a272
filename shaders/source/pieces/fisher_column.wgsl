# // Rows of Bᵢ at the outputs, one row for column k of example i, each of the example's own loss. Needs loss_kinds, put and `key`.
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
