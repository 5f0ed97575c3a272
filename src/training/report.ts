/** An epoch in one line. */
import type { EpochSummary } from "./history.js";

/** @param epochs number of the last epoch, where it is known */
export function summaryLine(summary: EpochSummary, epochs: number | undefined): string {
  const { epoch, loss, accuracy, validationLoss, validationAccuracy, seconds, ...counts } = summary;
  const { notFinite, skipped, rejected, held } = counts;
  const parts = [
    `epoch ${epoch}${epochs === undefined ? "" : `/${epochs}`}`,
    `loss ${short(loss)}${share(accuracy)}`,
    ...(validationLoss === undefined
      ? []
      : [`validation ${short(validationLoss)}${share(validationAccuracy)}`]),
    ...(notFinite > 0 ? [`${steps(notFinite)} with a loss that is not finite`] : []),
    ...(skipped > 0 ? [`${steps(skipped)} left layers alone`] : []),
    ...(rejected > 0 ? [`${steps(rejected)} taken back`] : []),
    ...(held > 0 ? [`${held} ${held === 1 ? "batch" : "batches"} left out`] : []),
    seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`,
  ];
  return parts.join("  ");
}

/** Nothing for losses without classes. */
function share(accuracy: number | undefined): string {
  return accuracy ? ` (${(100 * accuracy).toFixed(1)} % right)` : "";
}

function short(x: number): string {
  return Math.abs(x) >= 1e-3 && Math.abs(x) < 1e5 ? String(Number(x.toPrecision(4))) : x.toExponential(2);
}

function steps(count: number): string {
  return count === 1 ? "1 step" : `${count} steps`;
}
