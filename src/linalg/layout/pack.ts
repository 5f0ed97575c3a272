import type { Recorder } from "../../pipeline/index.js";
import { copyStrided, type StridedCopy } from "./copy.js";
import { isAligned, type Matrix, padded, paddedView } from "./view.js";

/**
 * The view itself where it is already aligned and needs no transposition, else a scratch copy that is.
 * The copy lives until the recording ends.
 */
export function packed(recorder: Recorder, view: Matrix, transpose: boolean): Matrix {
  if (!transpose && isAligned(view)) return view;
  const rows = transpose ? view.cols : view.rows;
  const cols = transpose ? view.rows : view.cols;
  const target = paddedView(recorder.scratch(rows * padded(cols)), 0, rows, cols);
  copyStrided(recorder, [copyInto(view, target, transpose)]);
  return target;
}

/** Scratch in which to compute `view`, with what to call afterwards; the view itself where it is aligned. */
export function packedTarget(
  recorder: Recorder,
  view: Matrix,
  keepsOld: boolean,
): { target: Matrix; unpack: () => void } {
  if (isAligned(view)) return { target: view, unpack: () => {} };
  const target = paddedView(recorder.scratch(view.rows * padded(view.cols)), 0, view.rows, view.cols);
  if (keepsOld) copyStrided(recorder, [copyInto(view, target, false)]);
  return { target, unpack: () => copyStrided(recorder, [copyInto(target, view, false)]) };
}

/** The strided copy of one view into another, transposed or not. */
export function copyInto(source: Matrix, target: Matrix, transpose: boolean): StridedCopy {
  return {
    source: {
      buffer: source.buffer,
      offset: source.offset,
      row: transpose ? 1 : source.stride,
      col: transpose ? source.stride : 1,
    },
    target: { buffer: target.buffer, offset: target.offset, row: target.stride, col: 1 },
    rows: target.rows,
    cols: target.cols,
  };
}
