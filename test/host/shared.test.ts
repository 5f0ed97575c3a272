/** Numbers in memory that several threads share: WebGPU refuses it, users pass it. */
import { dense, halfSquaredError } from "../../src/network/index.js";
import { Skipped } from "../harness/context.js";
import { assertClose, networkTest } from "../harness/kernel-test.js";

networkTest("shared memory: arrays of it are taken like others", async (t) => {
  if (typeof SharedArrayBuffer === "undefined") throw new Skipped("this place has no shared memory");
  const shared = (numbers: readonly number[]) => {
    const array = new Float32Array(new SharedArrayBuffer(4 * numbers.length));
    array.set(numbers);
    return array;
  };
  // Four inputs: with the bias's column they are laid out anew, without it they go as they are.
  for (const features of [3, 4]) {
    const net = t.engine.network([dense(features, 2, { bias: false })], halfSquaredError(), { batchSize: 2 });
    const numbers = Array.from({ length: 2 * features }, (_, k) => Math.sin(k));
    const batch = { inputs: Float32Array.from(numbers), targets: Float32Array.of(1, 2, 3, 4), count: 2 };
    const same = { inputs: shared(numbers), targets: shared([1, 2, 3, 4]), count: 2 };
    const { loss } = await net.evaluate(batch);
    assertClose([(await net.evaluate(same)).loss], [loss], 0, "loss of arrays");
    const data = t.engine.dataset(same);
    assertClose([(await net.evaluate(data)).loss], [loss], 0, "loss of a data set");
    net.setWeights((await net.weights()).map((W) => shared(Array.from(W))));
    assertClose([(await net.evaluate(batch)).loss], [loss], 0, "loss with weights");
    const sgd = t.engine.sgd(net, { learningRate: 0.1 });
    await sgd.step(same);
    const state = await sgd.state();
    const velocity = state.velocity as Float32Array;
    sgd.restore({ ...state, velocity: shared(Array.from(velocity)) });
    assertClose((await sgd.state()).velocity as Float32Array, velocity, 0, "velocity put back");
    sgd.dispose();
    data.dispose();
    net.dispose();
  }
  const { inverse: X } = await t.engine.invert({
    rows: 4,
    cols: 4,
    data: shared([2, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5, 0, 0, 0, 0, 8]),
  });
  assertClose([X.data[0]!, X.data[5]!, X.data[10]!, X.data[15]!], [0.5, 0.25, 0.2, 0.125], 1e-6, "inverse");
});
