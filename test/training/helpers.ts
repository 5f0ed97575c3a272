import type { Engine } from "../../src/index.js";
import { dense, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { TestContext } from "../harness/kernel-test.js";

/** Examples of `trainingData`: batches of four leave two. */
export const COUNT = 10;

/** Three numbers an example, and one of two classes. */
export function trainingData(t: TestContext) {
  const inputs = t.random(3).normals(3 * COUNT);
  const targets = Uint32Array.from({ length: COUNT }, (_, i) =>
    inputs[3 * i]! > inputs[3 * i + 1]! ? 1 : 0,
  );
  return { inputs, targets, count: COUNT };
}

/** Takes such data, four examples at a time. */
export function networkFor(engine: Engine): Network {
  return engine.network([dense(3, 5), tanh(), dense(5, 2)], softmaxCrossEntropy(), { batchSize: 4, seed: 7 });
}
