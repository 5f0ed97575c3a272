/** Assertions for kernel tests: no test framework underneath, so they work in a page and in Deno too. */

export class AssertionFailure extends Error {
  override name = "AssertionFailure";
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

export function assertEqual<T>(actual: T, expected: T, what: string): void {
  if (!Object.is(actual, expected)) {
    throw new AssertionFailure(`${what}: got ${String(actual)}, expected ${String(expected)}`);
  }
}

/** What `poisoned()` buffers hold at odd places (NaN at even ones): exact in f32, far from any sensible result. */
export const POISON = Math.fround(1e30);

type Numbers = ArrayLike<number>;

/**
 * ‖actual − reference‖ / ‖reference‖ ≤ bound, in the Frobenius norm (absolute where the reference is zero). Fails on
 * any non-finite value and on any element that still holds the poison. Returns the error, to be reported.
 */
export function assertClose(actual: Numbers, reference: Numbers, bound: number, what: string): number {
  assertWritten(actual, what);
  assert(
    actual.length === reference.length,
    `${what}: got ${actual.length} values, the reference has ${reference.length}`,
  );
  assert(actual.length > 0, `${what}: nothing to compare`);
  let difference = 0;
  let size = 0;
  let worst = 0;
  let worstGap = -1;
  for (let i = 0; i < actual.length; i++) {
    const expected = reference[i]!;
    assert(Number.isFinite(expected), `${what}: the reference holds ${expected} at ${i}`);
    const gap = Math.abs(actual[i]! - expected);
    difference += gap * gap;
    size += expected * expected;
    if (gap > worstGap) [worst, worstGap] = [i, gap];
  }
  const error = size > 0 ? Math.sqrt(difference / size) : Math.sqrt(difference);
  assert(
    error <= bound,
    `${what}: relative error ${error.toExponential(2)} is above the bound ${bound.toExponential(2)} ` +
      `(worst at ${worst} of ${actual.length}: got ${actual[worst]}, expected ${reference[worst]})`,
  );
  return error;
}

/** Every value is finite, and none is the poison that `poisoned()` left there. */
export function assertWritten(actual: Numbers, what: string): void {
  let untouched = 0;
  let nonFinite = 0;
  let first = -1;
  for (let i = 0; i < actual.length; i++) {
    const value = actual[i]!;
    if (value === POISON) untouched++;
    else if (!Number.isFinite(value)) nonFinite++;
    else continue;
    if (first < 0) first = i;
  }
  if (first < 0) return;
  const detail =
    untouched > 0
      ? `${untouched} were never written, ${nonFinite} are not finite`
      : `${nonFinite} are not finite`;
  throw new AssertionFailure(`${what}: of ${actual.length} values ${detail} (first at ${first})`);
}

type ErrorClass = abstract new (...args: never[]) => Error;

/**
 * `run` throws an `errorClass` whose message matches. With a synchronous `run` it checks at once; with an asynchronous
 * one it returns a promise to await. Returns the error for further checks.
 */
export function assertThrows(
  run: () => Promise<unknown>,
  errorClass: ErrorClass,
  pattern?: RegExp,
): Promise<Error>;
export function assertThrows(run: () => unknown, errorClass: ErrorClass, pattern?: RegExp): Error;
export function assertThrows(
  run: () => unknown,
  errorClass: ErrorClass,
  pattern?: RegExp,
): Error | Promise<Error> {
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    return checkError(error, errorClass, pattern);
  }
  const nothing = () => new AssertionFailure(`expected ${errorClass.name}, but nothing was thrown`);
  if (!(result instanceof Promise)) throw nothing();
  return result.then(
    () => {
      throw nothing();
    },
    (error: unknown) => checkError(error, errorClass, pattern),
  );
}

function checkError(error: unknown, errorClass: ErrorClass, pattern?: RegExp): Error {
  const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  assert(error instanceof errorClass, `expected ${errorClass.name}, got ${told}`);
  assert(
    !pattern || pattern.test((error as Error).message),
    `expected a message like ${pattern}, got ${told}`,
  );
  return error as Error;
}
