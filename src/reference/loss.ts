/**
 * Losses on a network's outputs Z (N × C, one example a row). Every value, gradient and Hessian is of ONE example's own
 * loss: nothing here divides by N, and nothing adds over examples.
 *
 * Losses of one example with outputs z:
 * - "halfSquaredError":       ½ Σ_c (z_c − t_c)², target t of any numbers.
 * - "softmaxCrossEntropy":    −Σ_c t_c log p_c with p = softmax(z), target a class index or a row of probabilities.
 * - "sigmoidCrossEntropy":    −Σ_c [t_c log σ(z_c) + (1 − t_c) log(1 − σ(z_c))], target t in [0, 1].
 *
 * Monte-Carlo targets are drawn from the model's own distribution by Threefry-2x32 (src/random/threefry.ts) under the key
 * (seed, step), all u32:
 * - softmax: one draw per (row, sample). Counter (row, sample), word 0 → uniform u; the class is the first c whose
 *   running sum p_0 + … + p_c exceeds u (the last class if none does). Sampled gradient p − onehot(class).
 * - sigmoid: one draw per (row, column, sample). Counter (row·C + column, sample), word 0 → u; y = 1 if u < σ(z), else
 *   0. Sampled gradient σ(z) − y.
 * - half squared error: one draw per (row, column, sample). Counter (row·C + column, sample), both words → Box–Muller,
 *   cosine branch ε; y = z + ε. Sampled gradient z − y = −ε.
 * `row` counts within the whole batch from 0.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { normalPair, threefry2x32, uniform } from "../random/index.js";
import { type Matrix, matrix, requireShape } from "./matrix.js";

/** The losses of the head of this file. */
export type LossKind = "halfSquaredError" | "softmaxCrossEntropy" | "sigmoidCrossEntropy";

/** How the examples' losses are put together: their sum, or their sum over N. */
export type Reduction = "mean" | "sum";

/** An N × C matrix of targets, or N class indices (softmax cross-entropy only). */
export type Targets = Matrix | ArrayLike<number>;

/** softmax of every row, N × C, computed from differences to the row's largest element. */
export function softmax(Z: Matrix): Matrix {
  const out = matrix(Z.rows, Z.cols);
  for (let i = 0; i < Z.rows; i++) {
    const row = Z.data.subarray(i * Z.cols, (i + 1) * Z.cols);
    const logSum = logSumExp(row);
    for (let c = 0; c < Z.cols; c++) out.data[i * Z.cols + c] = Math.exp(row[c]! - logSum);
  }
  return out;
}

/** 1/(1 + e^−z) without overflow. */
export function sigmoid(z: number): number {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

function logSumExp(row: Float64Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const z of row) largest = Math.max(largest, z);
  let total = 0;
  for (const z of row) total += Math.exp(z - largest);
  return largest + Math.log(total);
}

/**
 * Loss of each example, N numbers.
 *
 * @throws ShapeError or ArgumentError for targets that do not fit Z or the loss.
 */
export function lossValues(kind: LossKind, Z: Matrix, targets: Targets): Float64Array {
  const T = targetMatrix("lossValues", kind, Z, targets);
  const out = new Float64Array(Z.rows);
  for (let i = 0; i < Z.rows; i++) {
    const row = Z.data.subarray(i * Z.cols, (i + 1) * Z.cols);
    const logSum = kind === "softmaxCrossEntropy" ? logSumExp(row) : 0;
    let value = 0;
    for (let c = 0; c < Z.cols; c++) {
      const z = row[c]!;
      const t = T.data[i * Z.cols + c]!;
      if (kind === "halfSquaredError") value += 0.5 * (z - t) ** 2;
      else if (kind === "softmaxCrossEntropy") value += t === 0 ? 0 : t * (logSum - z);
      else value += Math.max(z, 0) - z * t + Math.log1p(Math.exp(-Math.abs(z)));
    }
    out[i] = value;
  }
  return out;
}

/**
 * ∂J_i/∂z of each example, N × C.
 *
 * @throws ShapeError or ArgumentError for targets that do not fit Z or the loss.
 */
export function lossGradient(kind: LossKind, Z: Matrix, targets: Targets): Matrix {
  const T = targetMatrix("lossGradient", kind, Z, targets);
  const mean = modelMean(kind, Z);
  const out = matrix(Z.rows, Z.cols);
  for (let i = 0; i < Z.rows; i++) {
    let total = 1;
    if (kind === "softmaxCrossEntropy") {
      total = 0;
      for (let c = 0; c < Z.cols; c++) total += T.data[i * Z.cols + c]!;
    }
    for (let c = 0; c < Z.cols; c++) {
      const k = i * Z.cols + c;
      out.data[k] = total * mean.data[k]! - T.data[k]!;
    }
  }
  return out;
}

/**
 * Λ, the C × C Hessian in z of the loss of example `row`. It does not depend on the target: softmax diag(p) − pp',
 * sigmoid diag(σ(1 − σ)), half squared error I.
 *
 * @throws ArgumentError for a row that is not there.
 */
export function lossHessian(kind: LossKind, Z: Matrix, row: number): Matrix {
  requireRow("lossHessian", Z, row);
  const C = Z.cols;
  const mean = modelMean(kind, Z).data.subarray(row * C, (row + 1) * C);
  const out = matrix(C, C);
  for (let c = 0; c < C; c++) {
    const p = mean[c]!;
    if (kind === "halfSquaredError") out.data[c * C + c] = 1;
    else if (kind === "sigmoidCrossEntropy") out.data[c * C + c] = p * (1 - p);
    else {
      for (let d = 0; d < C; d++) out.data[c * C + d] = (c === d ? p : 0) - p * mean[d]!;
    }
  }
  return out;
}

/**
 * Column `column` of Λ^½ of every example, N × C (row i is the column of example i): for softmax √p_c (e_c − p), for
 * sigmoid √(σ(1 − σ)) e_c, for half squared error e_c. Summed over columns, Λ^½ Λ^½' = Λ. For softmax this square root
 * is not symmetric; any Λ^½ with that product gives the same B_iB_i'.
 *
 * @throws ArgumentError for a column that is not there.
 */
export function lossSquareRootColumn(kind: LossKind, Z: Matrix, column: number): Matrix {
  const C = Z.cols;
  if (!(Number.isInteger(column) && column >= 0 && column < C)) {
    throw new ArgumentError("lossSquareRootColumn", "column", `must be from 0 to ${C - 1}, got ${column}`);
  }
  const mean = modelMean(kind, Z);
  const out = matrix(Z.rows, C);
  for (let i = 0; i < Z.rows; i++) {
    const p = mean.data[i * C + column]!;
    if (kind === "halfSquaredError") out.data[i * C + column] = 1;
    else if (kind === "sigmoidCrossEntropy") out.data[i * C + column] = Math.sqrt(p * (1 - p));
    else {
      const root = Math.sqrt(p);
      for (let c = 0; c < C; c++) {
        out.data[i * C + c] = root * ((c === column ? 1 : 0) - mean.data[i * C + c]!);
      }
    }
  }
  return out;
}

/** Which Monte-Carlo draw: all u32. */
export interface SampleKey {
  seed: number;
  step: number;
  /** Index of the sample, below 2³¹. */
  sample: number;
  /** Number of Z's first row in a larger batch; defaults to 0. */
  first?: number;
}

/** Gradient in z of each example's loss at a target drawn from the model, N × C. See the head of this file. */
export function sampledGradient(kind: LossKind, Z: Matrix, key: SampleKey): Matrix {
  const C = Z.cols;
  const { first = 0 } = key;
  const mean = modelMean(kind, Z);
  const out = matrix(Z.rows, C);
  for (let i = 0; i < Z.rows; i++) {
    if (kind === "softmaxCrossEntropy") {
      const u = uniform(threefry2x32(key.seed, key.step, first + i, key.sample)[0]);
      let chosen = C - 1;
      let running = 0;
      for (let c = 0; c < C; c++) {
        running += mean.data[i * C + c]!;
        if (running > u) {
          chosen = c;
          break;
        }
      }
      for (let c = 0; c < C; c++) out.data[i * C + c] = mean.data[i * C + c]! - (c === chosen ? 1 : 0);
      continue;
    }
    for (let c = 0; c < C; c++) {
      const k = i * C + c;
      const [w0, w1] = threefry2x32(key.seed, key.step, first * C + k, key.sample);
      if (kind === "halfSquaredError") out.data[k] = -normalPair(w0, w1)[0];
      else out.data[k] = mean.data[k]! - (uniform(w0) < mean.data[k]! ? 1 : 0);
    }
  }
  return out;
}

/** The mean of the model's predictive distribution: softmax(z), σ(z) or z. */
function modelMean(kind: LossKind, Z: Matrix): Matrix {
  if (kind === "softmaxCrossEntropy") return softmax(Z);
  if (kind === "halfSquaredError") return Z;
  return { ...Z, data: Z.data.map(sigmoid) };
}

function requireRow(operation: string, Z: Matrix, row: number): void {
  if (!(Number.isInteger(row) && row >= 0 && row < Z.rows)) {
    throw new ArgumentError(operation, "row", `must be from 0 to ${Z.rows - 1}, got ${row}`);
  }
}

/** Targets as an N × C matrix, checked against Z and the loss. */
function targetMatrix(operation: string, kind: LossKind, Z: Matrix, targets: Targets): Matrix {
  if ("data" in targets) {
    requireShape(operation, "targets", targets, Z.rows, Z.cols);
    if (kind === "halfSquaredError") return targets;
    for (let i = 0; i < Z.rows; i++) {
      let total = 0;
      for (let c = 0; c < Z.cols; c++) {
        const t = targets.data[i * Z.cols + c]!;
        if (!(t >= 0 && t <= 1)) {
          throw new ArgumentError(operation, "targets", `must lie in [0, 1], got ${t} in row ${i}`);
        }
        total += t;
      }
      if (kind === "softmaxCrossEntropy" && Math.abs(total - 1) > 1e-5) {
        throw new ArgumentError(
          operation,
          "targets",
          `must add up to 1 in each row, got ${total} in row ${i}`,
        );
      }
    }
    return targets;
  }
  if (kind !== "softmaxCrossEntropy") {
    throw new ArgumentError(
      operation,
      "targets",
      `must be an N × C matrix for ${kind}, got a list of numbers`,
    );
  }
  if (targets.length !== Z.rows) {
    throw new ShapeError(
      operation,
      "targets",
      [targets.length],
      [Z.rows],
      "give one class index per example",
    );
  }
  const out = matrix(Z.rows, Z.cols);
  for (let i = 0; i < Z.rows; i++) {
    const c = targets[i]!;
    if (!(Number.isInteger(c) && c >= 0 && c < Z.cols)) {
      throw new ArgumentError(
        operation,
        "targets",
        `must be classes from 0 to ${Z.cols - 1}, got ${c} in row ${i}`,
      );
    }
    out.data[i * Z.cols + c] = 1;
  }
  return out;
}
