import { type Matrix, paddedLength, paddedView } from "../../linalg/index.js";
import type { Recorder } from "../../pipeline/index.js";

/** Scratch for matrices of these shapes, rows × columns, one behind the other in one buffer. */
export function scratchMatrices(
  recorder: Recorder,
  shapes: readonly (readonly [rows: number, cols: number])[],
): Matrix[] {
  const lengths = shapes.map(([rows, cols]) => paddedLength(rows, cols));
  const buffer = recorder.scratch(lengths.reduce((sum, length) => sum + length, 0));
  let offset = 0;
  return shapes.map(([rows, cols], index) => {
    const view = paddedView(buffer, offset, rows, cols);
    offset += lengths[index]!;
    return view;
  });
}
