/** Outputs far out: nothing overflows, and small differences from 1 keep their digits. */
import type { Batch, FisherOptions } from "../../src/model/index.js";
import {
  dense,
  halfSquaredError,
  type Loss,
  logistic,
  Network,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { assertWritten, kernelTest } from "../harness/kernel-test.js";
import { checkPass, openManager, pass, results } from "./helpers.js";

const fishers: FisherOptions[] = [{ kind: "exact" }, { kind: "monteCarlo", seed: 1 }, { kind: "empirical" }];

/** Outputs of each example as they are: W is the identity. */
async function atOutputs(
  t: Parameters<typeof openManager>[0],
  loss: Loss,
  batch: Batch,
  outputs: number,
  check: "reference" | "finite",
) {
  const manager = await openManager(t);
  const modules = [dense(outputs, outputs, { bias: false })];
  const net = new Network(manager, modules, loss, { batchSize: batch.count });
  const identity = new Float32Array(outputs * outputs);
  for (let c = 0; c < outputs; c++) identity[c * outputs + c] = 1;
  net.setWeights([identity]);
  for (const fisher of fishers) {
    if (check === "reference") {
      await checkPass(t, manager, net, modules, batch, fisher, JSON.stringify([...batch.inputs]));
    }
    const { loss: value, G, B } = await results(t, net, pass(net, manager, batch, fisher));
    assertWritten(
      [value, ...G.flatMap((g) => [...g]), ...B.flatMap((b) => [...b])],
      `all after ${fisher.kind}`,
    );
  }
  manager.dispose();
}

kernelTest("loss: saturated softmax", async (t) => {
  for (const scale of [30, 100, 1e4]) {
    const inputs = Float32Array.of(scale, 0, -scale, -scale, scale, 0, scale, scale, -scale, 0, 0, 0);
    for (const targets of [Uint32Array.of(0, 0, 2, 1), Uint32Array.of(0, 1, 0, 2)]) {
      await atOutputs(t, softmaxCrossEntropy(), { inputs, targets, count: 4 }, 3, "reference");
    }
  }
});

kernelTest("loss: a softmax output that is almost sure keeps its digits", async (t) => {
  // All examples are right with 1 − p = 2e-5 … 4e-8: a plain p − 1 in f32 would have one to three digits.
  for (const scale of [11, 14, 17]) {
    const inputs = Float32Array.of(scale, 0, 0, 0, 0, scale);
    const targets = Uint32Array.of(0, 2);
    await atOutputs(t, softmaxCrossEntropy(), { inputs, targets, count: 2 }, 3, "reference");
  }
});

kernelTest("loss: a sigmoid output that is almost sure keeps its digits", async (t) => {
  for (const scale of [11, 17, 20]) {
    const inputs = Float32Array.of(scale, -scale, scale, -scale);
    const targets = Float32Array.of(1, 0, 1, 0);
    await atOutputs(t, sigmoidCrossEntropy(), { inputs, targets, count: 2 }, 2, "reference");
  }
});

kernelTest("loss: saturated sigmoid", async (t) => {
  const inputs = Float32Array.of(1e4, -1e4, 50, -50, 0, 1e4);
  await atOutputs(
    t,
    sigmoidCrossEntropy(),
    { inputs, targets: Float32Array.of(0, 1, 1, 0, 0.25, 1), count: 3 },
    2,
    "reference",
  );
});

kernelTest("loss: outputs of 1e30", async (t) => {
  const inputs = Float32Array.of(1e30, -1e30, 1e30, 1e30, -1e30, 1e30);
  const soft = { inputs, targets: Uint32Array.of(0, 1, 1), count: 3 };
  await atOutputs(t, softmaxCrossEntropy(), soft, 2, "finite");
  const hard = { inputs, targets: Float32Array.of(1, 0, 1, 0, 0, 1), count: 3 };
  await atOutputs(t, sigmoidCrossEntropy(), hard, 2, "finite");
});

kernelTest("activation: saturated tanh and logistic", async (t) => {
  for (const activation of [tanh(), logistic()]) {
    const manager = await openManager(t);
    const modules = [dense(1, 8), activation, dense(8, 2)];
    const net = new Network(manager, modules, halfSquaredError(), { batchSize: 8 });
    const inputs = Float32Array.of(1e-6, 1e-3, 0.24, 0.26, -9, 20, -100, 1e4);
    const targets = new Float32Array(16).fill(0.5);
    for (const fisher of fishers) {
      await checkPass(t, manager, net, modules, { inputs, targets, count: 8 }, fisher, activation.kind);
    }
    manager.dispose();
  }
});
