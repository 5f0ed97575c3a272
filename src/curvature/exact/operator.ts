import { ArgumentError } from "../../errors.js";
import type { HostMatrix } from "../../host/index.js";
import type { LinearOperator } from "../../linalg/cg.js";
import { paddedLength, paddedView } from "../../linalg/index.js";
import type { PipelineManager } from "../../pipeline/index.js";

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
  const { rows, cols } = operator;
  const n = rows * cols;
  if (n > DENSE_LIMIT) {
    throw new ArgumentError(
      "denseHessian",
      "operator",
      `must have at most ${DENSE_LIMIT} unknowns, has ${n}`,
    );
  }
  const length = paddedLength(rows, cols);
  const unit = manager.createStorage("unit", length);
  const image = manager.createStorage("image", length);
  try {
    const [V, HV] = [paddedView(unit, 0, rows, cols), paddedView(image, 0, rows, cols)];
    const data = new Float32Array(n * n);
    const one = new Float32Array(length);
    const reads: Promise<void>[] = [];
    for (let k = 0; k < n; k++) {
      const place = (k % rows) * V.stride + Math.floor(k / rows);
      one[place] = 1;
      manager.device.queue.writeBuffer(unit, 0, one);
      one[place] = 0;
      const recorder = manager.record();
      operator.apply(recorder, V, HV);
      const reading = recorder.read(image, 0, 4 * length);
      recorder.submit();
      reads.push(
        reading.then((bytes) => {
          const numbers = new Float32Array(bytes);
          for (let r = 0; r < n; r++)
            data[r * n + k] = numbers[(r % rows) * V.stride + Math.floor(r / rows)]!;
        }),
      );
      if (reads.length === 64) await Promise.all(reads.splice(0));
    }
    await Promise.all(reads);
    return { rows: n, cols: n, data };
  } finally {
    manager.destroyBuffer(unit);
    manager.destroyBuffer(image);
  }
}
