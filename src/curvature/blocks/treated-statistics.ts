import { gram, type Matrix } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { CurvatureStatistics, FactorGram } from "../../model/index.js";
import type { Recorder } from "../../pipeline/index.js";
import { sumPositions } from "../kernels/positions.js";
import { type LayerShape, recordOneGroup, requireExamples, scratchRows } from "./examples.js";

/**
 * How factors treat the positions of an example. `"expand"`: as further examples, Ā = (1/(N·T)) Σ_i Σ_t a_t a_t',
 * B̄ = (1/N) Σ_i Σ_c Σ_t b_t b_t' (KFC, Grosse & Martens 2016). `"reduce"`: the mean of a_t and the sum of b_t stand for the example
 * (Eschenhagen et al. 2023).
 */
export type PositionTreatment = "expand" | "reduce";

/**
 * A layer's statistics with the positions treated so, whatever the layer does by itself: made of its rows, example by example. All places of a tied
 * layer are positions of it. At one position both are the layer's own.
 *
 * @throws UnsupportedLayerError for statistics that are not example by example, and as `curvatureRows`
 */
export function treatedStatistics(
  recorder: Recorder,
  layer: LayerShape,
  statistics: CurvatureStatistics,
  treatment: PositionTreatment,
): Pick<CurvatureStatistics, "inputs" | "outputs"> {
  const { positions: T = 1 } = statistics;
  if (T === 1) return statistics;
  requireExamples(layer, statistics);
  const { rows: b, count, divisor } = statistics.curvatureRows(recorder);
  const sum = (use: (inner: Recorder) => Matrix): FactorGram["gram"] => {
    return (outer, into, precision) =>
      scoped(outer, (inner) => gram(inner, { A: use(inner), examples: "rows", into, precision }));
  };
  const inputs = (inner: Recorder) => recordOneGroup(inner, layer, statistics).a;
  const reduced = (inner: Recorder, x: Matrix, factor: number) => {
    const into = scratchRows(inner, x.rows / T, x.cols);
    sumPositions(inner, { x, positions: T, factor, into });
    return into;
  };
  if (treatment === "expand") {
    return {
      inputs: () => ({ gram: sum(inputs), scale: 1 / (count * T) }),
      outputs: () => ({ rows: b, scale: 1 / divisor }),
    };
  }
  return {
    inputs: () => ({ gram: sum((inner) => reduced(inner, inputs(inner), 1 / T)), scale: 1 / count }),
    outputs: () => ({ gram: sum((inner) => reduced(inner, b, 1)), scale: 1 / divisor }),
  };
}
