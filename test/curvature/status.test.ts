import { d, writeToArrayBuffer } from "typegpu";
import { layerStatus } from "../../src/curvature/blocks/status.js";
import { LAYER_STATE_BYTES, LayerState, statusText } from "../../src/curvature/index.js";
import { InvertStatus } from "../../src/linalg/index.js";
import { assertEqual, kernelTest } from "../harness/kernel-test.js";

kernelTest("status: words for every bit", () => {
  const { notPositiveDefinite, nonFinite, dampingBelowFloor } = InvertStatus;
  assertEqual(statusText(0), "ok", "nothing set");
  assertEqual(statusText(nonFinite), "numbers that are not finite", "not finite");
  assertEqual(statusText(notPositiveDefinite), "not positive definite", "not positive definite");
  assertEqual(statusText(dampingBelowFloor), "damping below the f32 floor", "damping");
  assertEqual(statusText(0, false), "no inverse yet", "not ready");
  const both = statusText(nonFinite | dampingBelowFloor, false);
  assertEqual(both, "numbers that are not finite, damping below the f32 floor, no inverse yet", "several");
});

kernelTest("status: decoded as the shader's struct is laid out", () => {
  assertEqual(d.sizeOf(LayerState), LAYER_STATE_BYTES, "bytes of a LayerState");
  const state = {
    countA: 11,
    countB: 12,
    readyA: 1,
    readyB: 1,
    statusA: 4,
    statusB: 2,
    failures: 13,
    skipped: 14,
    boost: 15.5,
    lambda: 16.5,
    pi: 17.5,
  };
  const bytes = new ArrayBuffer(2 * LAYER_STATE_BYTES);
  const own = new ArrayBuffer(LAYER_STATE_BYTES);
  writeToArrayBuffer(own, LayerState, state);
  new Uint8Array(bytes).set(new Uint8Array(own), LAYER_STATE_BYTES);
  const status = layerStatus("fc", bytes, LAYER_STATE_BYTES);
  const expected = {
    name: "fc",
    lambda: 16.5,
    pi: 17.5,
    boost: 15.5,
    batches: { A: 11, B: 12 },
    ready: true,
    status: { A: 4, B: 2 },
    failures: 13,
    skipped: 14,
    text: "numbers that are not finite, damping below the f32 floor",
  };
  assertEqual(JSON.stringify(status), JSON.stringify(expected), "status");
  for (const side of ["readyA", "readyB"] as const) {
    writeToArrayBuffer(own, LayerState, { ...state, [side]: 0 });
    assertEqual(layerStatus("fc", own, 0).ready, false, `ready without ${side}`);
  }
});
