/** `#runner` in Node: kernel tests become vitest tests on Dawn (npm `webgpu`). */
import { afterAll, test } from "vitest";
import { create, globals } from "webgpu";
import type { Case } from "#runner";
import { closeDevices } from "./kernel-test";

Object.assign(globalThis, globals);

// Node aborts once the object that create() returned is collected, so it stays reachable for good.
const keep = globalThis as { kfacTestGpu?: GPU };
keep.kfacTestGpu ??= create([]);

export const driver = process.env.KFAC_TEST_DRIVER ?? "node";

export function gpu(): GPU | undefined {
  return keep.kfacTestGpu;
}

let adapter = "";

export function announceAdapter(name: string): void {
  adapter = name;
}

export function register({ name, seconds, run }: Case): void {
  // The harness has its own, better explained limits; vitest's is only the last resort.
  test(name, { timeout: (seconds + 120) * 1000 }, async (context) => {
    const { skipped } = await run().finally(() => {
      (context.task.meta as { adapter?: string }).adapter = adapter;
    });
    if (skipped) context.skip(skipped);
  });
}

afterAll(closeDevices);
