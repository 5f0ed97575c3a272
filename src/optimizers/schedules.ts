import { must, NUMBER, shown, whole } from "../arguments.js";
import { ArgumentError } from "../errors.js";

/**
 * A setting that changes from step to step: the value for step `step`, 1 for the first. It is asked once for each step (and
 * for step 1 again when kernels are prepared), so it must depend on nothing else.
 */
export type Schedule = (step: number) => number;

/** The same value at every step. @throws ArgumentError when it is not finite */
export function constant(value: number): Schedule {
  requireFinite("constant", "value", value);
  return () => value;
}

/**
 * From `from` at step 1 in a straight line to `to`, which it has at step `steps` + 1 and ever after.
 *
 * @throws ArgumentError when an end is not finite or `steps` is not a whole number of at least 1
 */
export function linear(from: number, to: number, steps: number): Schedule {
  return between("linear", from, to, steps, (share) => share);
}

/**
 * From `from` at step 1 along half a wave of the cosine, flat at both ends, to `to`, which it has at step `steps` + 1 and
 * ever after (Loshchilov & Hutter 2017, one cycle).
 *
 * @throws ArgumentError when an end is not finite or `steps` is not a whole number of at least 1
 */
export function cosine(from: number, to: number, steps: number): Schedule {
  return between("cosine", from, to, steps, (share) => (1 - Math.cos(Math.PI * share)) / 2);
}

/**
 * The first `steps` steps take 1/`steps`, 2/`steps` … of `schedule`, a number or another schedule, which goes on unchanged:
 * `warmUp(100, cosine(0.1, 0.001, 2000))`.
 *
 * @throws ArgumentError when `steps` is not a whole number of at least 1 or a number is not finite
 */
export function warmUp(steps: number, schedule: number | Schedule): Schedule {
  requireSteps("warmUp", steps);
  const then = typeof schedule === "number" ? constant(schedule) : schedule;
  if (typeof then !== "function") {
    throw new ArgumentError("warmUp", "schedule", `must be a number or a function, got ${shown(schedule)}`);
  }
  return (step) => Math.min(1, step / steps) * then(step);
}

function between(
  name: string,
  from: number,
  to: number,
  steps: number,
  curve: (share: number) => number,
): Schedule {
  requireFinite(name, "from", from);
  requireFinite(name, "to", to);
  requireSteps(name, steps);
  return (step) => (step > steps ? to : from + (to - from) * curve((step - 1) / steps));
}

function requireFinite(schedule: string, argument: string, value: number): void {
  must(schedule, argument, value, NUMBER);
}

function requireSteps(schedule: string, value: number): void {
  must(schedule, "steps", value, whole(1));
}
