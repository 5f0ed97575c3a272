/** `#runner` in Node: kernel tests become vitest tests on Dawn (npm `webgpu`). */
import { writeSync } from "node:fs";
import { afterAll, test } from "vitest";
import type { Case } from "#runner";
import { nodeGpu } from "../../src/device/node.js";
import { closeDevices } from "./kernel-test.js";
import { MARK } from "./protocol.mjs";

/** The library's own instance: it stays reachable for good, since Node aborts once it is collected. */
const instance = await nodeGpu();

export const driver = process.env.KFAC_TEST_DRIVER ?? "node";

export function gpu(): GPU {
  return instance;
}

let adapter = "";

export function announceAdapter(name: string): void {
  adapter = name;
}

/** Written past vitest, which holds news back for a moment: a test that blocks or kills its process must be known. */
function announceTest(file: string, name: string): void {
  if (!process.env.KFAC_TEST_DRIVER) return;
  writeSync(2, `${MARK}${JSON.stringify({ kind: "start", file, name })}\n`);
}

export function register({ name, seconds, run }: Case): void {
  // The harness has its own, better explained limits; vitest's is only the last resort.
  test(name, { timeout: (seconds + 120) * 1000 }, async (context) => {
    announceTest(context.task.file.name, name);
    const { skipped } = await run().finally(() => {
      (context.task.meta as { adapter?: string }).adapter = adapter;
    });
    if (skipped) context.skip(skipped);
  });
}

afterAll(closeDevices);
