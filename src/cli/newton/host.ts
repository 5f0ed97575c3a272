/** Between the f64 matrices of the reference and the f32 matrices of the engine. */
import { type Matrix, matrix } from "../../reference/index.js";
import type { HostMatrix } from "../engine.js";

export function toHost(m: Matrix): HostMatrix {
  return { rows: m.rows, cols: m.cols, data: Float32Array.from(m.data) };
}

export function fromHost(m: HostMatrix): Matrix {
  return matrix(m.rows, m.cols, m.data);
}
