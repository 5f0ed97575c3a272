import { must, SIZE } from "../../arguments.js";
import { ArgumentError } from "../../errors.js";
import { DeviceMatrices, type HostMatrix, readMatrix } from "../../host/index.js";
import type { LinearOperator } from "../../linalg/cg.js";
import { OPERATOR } from "../../linalg/cg.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";

/** A symmetric positive semi-definite map H on matrices of a layer's shape (rows = out, cols = in), never formed. */
export type CurvatureOperator = LinearOperator;

/** Most unknowns that `denseHessian` forms a matrix for. */
const DENSE_LIMIT = 4096;

/**
 * Forms H, n × n with n = rows · cols, on column-major vec(V): column k is vec(H E_k). n products, for small sizes and
 * comparisons.
 *
 * @throws ArgumentError when n is above 4096.
 */
export async function denseHessian(
  manager: PipelineManager,
  operator: CurvatureOperator,
): Promise<HostMatrix> {
  must("denseHessian", "manager", manager, MANAGER);
  must("denseHessian", "operator", operator, OPERATOR);
  const { rows, cols } = operator;
  must("denseHessian", "operator.rows", rows, SIZE);
  must("denseHessian", "operator.cols", cols, SIZE);
  const n = rows * cols;
  if (n > DENSE_LIMIT) {
    throw new ArgumentError(
      "denseHessian",
      "operator",
      `must have at most ${DENSE_LIMIT} unknowns, has ${n}`,
    );
  }
  const memory = new DeviceMatrices(manager, "denseHessian");
  try {
    const [V, HV] = [memory.matrix(rows, cols), memory.matrix(rows, cols)];
    const data = new Float32Array(n * n);
    const unit = { rows, cols, data: new Float32Array(n) };
    const placeOf = (k: number) => (k % rows) * cols + Math.floor(k / rows);
    const reads: Promise<void>[] = [];
    for (let k = 0; k < n; k++) {
      unit.data[placeOf(k)] = 1;
      memory.write(V, unit);
      unit.data[placeOf(k)] = 0;
      const recorder = manager.record();
      operator.apply(recorder, V, HV);
      const reading = readMatrix(recorder, HV);
      recorder.submit();
      reads.push(
        reading.then(({ data: image }) => {
          for (let r = 0; r < n; r++) data[r * n + k] = image[placeOf(r)]!;
        }),
      );
      if (reads.length === 64) await Promise.all(reads.splice(0));
    }
    await Promise.all(reads);
    return { rows: n, cols: n, data };
  } finally {
    memory.dispose();
  }
}
