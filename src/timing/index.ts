/** Measuring time: a stopwatch, and comparisons by interleaved pairs. It knows nothing of what it times. */
export {
  affordablePairs,
  type CalibrateOptions,
  type Calibration,
  calibrate,
  medianMs,
  type Pairs,
  pairedRatios,
  type Runner,
  type Sample,
  type Side,
  sample,
  samplePairs,
  type Told,
} from "./samples.js";
export { type Interval, intervalRank, median, medianInterval } from "./statistics.js";
export { Stopwatch } from "./stopwatch.js";
