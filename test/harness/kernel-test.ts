/**
 * A test of GPU code, written once: `kernelTest(name, async (t) => { … })`. It runs in Node on every driver found, in a
 * browser and in Deno, always inside error scopes, on a device shared with the tests around it.
 */
import { driver, type Outcome, register } from "#runner";
import { Skipped, TestContext } from "./context.js";
import { openDevice, type TestDevice } from "./device.js";
import { TimedOut, timeLimit } from "./time-limit.js";

export { assert, assertClose, assertEqual, assertThrows, assertWritten, POISON } from "./assertions.js";
export type { TestContext } from "./context.js";
export { Random } from "./random.js";

export interface KernelTestOptions {
  /** Time allowed, defaults to 150 s: on a software driver the first dispatch of a kernel may compile for a long time. */
  seconds?: number;
  /** Run on a device with default limits and no optional features. */
  plain?: boolean;
}

export type KernelTestBody = (t: TestContext) => Promise<void> | void;

/**
 * A test of what is made of kernels, such as a network's pass, which takes long and needs no further adapter once its kernels are
 * right there. lavapipe, cards and Chromium run it; SwiftShader in Node and Deno leave it out, aloud.
 */
export function networkTest(name: string, body: KernelTestBody, options: KernelTestOptions = {}): void {
  leftOut(["swiftshader", "deno"], "lavapipe, Chromium and cards", name, body, options);
}

/** A test of training, which takes longest: Chromium leaves it out as well. */
export function trainingTest(name: string, body: KernelTestBody, options: KernelTestOptions = {}): void {
  leftOut(["swiftshader", "deno", "chromium"], "lavapipe and cards", name, body, options);
}

function leftOut(
  drivers: readonly string[],
  others: string,
  name: string,
  body: KernelTestBody,
  options: KernelTestOptions,
): void {
  const skipped = { skipped: `takes long; ${others} run it` };
  // Asked before there is a device: opening one for nothing takes a second a file.
  const run = async () => (drivers.includes(driver) ? skipped : runKernelTest(body, options));
  register({ name, seconds: options.seconds ?? SECONDS, run });
}

const ERROR_FILTERS: GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];
const SECONDS = 150;
const SCOPE_SECONDS = 60;

export function kernelTest(name: string, body: KernelTestBody, options: KernelTestOptions = {}): void {
  register({ name, seconds: options.seconds ?? SECONDS, run: () => runKernelTest(body, options) });
}

/** The GPU stopped answering: whoever runs the suite does better in a fresh process than with a fresh device. */
export let hung = false;

/** Open devices, one per kind, kept from test to test: compiled pipelines are what makes a suite slow. */
const open = new Map<boolean, TestDevice>();

export async function runKernelTest(body: KernelTestBody, options: KernelTestOptions = {}): Promise<Outcome> {
  const plain = options.plain ?? false;
  const target = await currentDevice(plain);
  const t = new TestContext(target, driver);
  const problems: string[] = [];
  let outcome: Outcome = {};
  let failure: unknown;
  target.uncaptured.length = 0;
  for (const filter of ERROR_FILTERS) target.device.pushErrorScope(filter);
  try {
    await timeLimit(Promise.resolve(body(t)), options.seconds ?? SECONDS, "the test");
  } catch (error) {
    if (error instanceof Skipped) outcome = { skipped: error.message };
    else failure = error ?? new Error("the test threw nothing at all");
  }
  try {
    await t.dispose();
    if (!target.spent)
      await timeLimit(target.device.queue.onSubmittedWorkDone(), SCOPE_SECONDS, "the GPU's work");
    problems.push(...(await popScopes(target)));
  } catch (error) {
    hung ||= error instanceof TimedOut;
    target.spent ??= String(error);
    problems.push(String(error));
  }
  problems.push(...target.uncaptured.map((message) => `uncaptured error: ${message}`));
  if (target.spent) problems.push(`the device is not usable any more: ${target.spent}`);
  if (target.spent) await discard(plain);
  if (failure && problems.length === 0) throw failure;
  if (failure || problems.length > 0) throw combined(failure, problems);
  return outcome;
}

/** One error that tells all, and points at the place in the test if there is one. */
function combined(failure: unknown, problems: string[]): Error {
  if (!(failure instanceof Error)) return new Error([...(failure ? [failure] : []), ...problems].join("\n"));
  const error = new Error([failure.message, ...problems].join("\n"));
  const frames = failure.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  error.stack = [`${error.name}: ${error.message}`, ...frames].join("\n");
  return error;
}

async function popScopes(target: TestDevice): Promise<string[]> {
  const problems: string[] = [];
  for (const filter of [...ERROR_FILTERS].reverse()) {
    const error = await timeLimit(target.device.popErrorScope(), SCOPE_SECONDS, "popErrorScope");
    if (!error) continue;
    problems.push(`${filter} error: ${error.message}`);
    // What a device does after it ran out of memory is anyone's guess; the next test gets a fresh one.
    if (filter === "out-of-memory") target.spent ??= "it ran out of memory";
  }
  return problems;
}

async function currentDevice(plain: boolean): Promise<TestDevice> {
  const existing = open.get(plain);
  if (existing && !existing.spent) return existing;
  if (existing) await discard(plain);
  const fresh = await openDevice(plain);
  open.set(plain, fresh);
  return fresh;
}

async function discard(plain: boolean): Promise<void> {
  const old = open.get(plain);
  open.delete(plain);
  await old?.close();
}

/** Runners call this after the last test: Dawn may crash at exit while a device is alive. */
export async function closeDevices(): Promise<void> {
  for (const plain of [...open.keys()]) await discard(plain);
}
