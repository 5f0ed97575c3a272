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

# bindings("network/loss", "lossLayout");

override THREADS: u32 = 64;

# include("loss_kinds");

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

# include("fisher_column");

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
