/** Wrong arguments of what an engine makes: each is refused by its name, and nothing reaches the GPU. */
import { ArgumentError } from "../../src/errors.js";
import type { Engine, GpuDataset, Network, Optimizer } from "../../src/index.js";
import { dense, graph, softmaxCrossEntropy } from "../../src/network/index.js";
import { assert, assertEqual, kernelTest } from "../harness/kernel-test.js";

interface Things {
  readonly engine: Engine;
  readonly net: Network;
  readonly data: GpuDataset;
  readonly optimizer: Optimizer;
}

type Call = (things: Things, wrong: never) => unknown;

const arrays = () => ({ inputs: new Float32Array(8), targets: Uint32Array.of(0, 1, 2, 1), count: 4 });
const loss = softmaxCrossEntropy();

/** Calls by the name that their one wrong argument is refused by. */
const CALLS: readonly (readonly [name: string, call: Call, operand: string])[] = [
  ["network", ({ engine }, wrong) => engine.network([dense(2, 3)], loss, wrong), "options"],
  ["network", ({ engine }, wrong) => engine.network([dense(2, 3)], wrong), "loss"],
  ["dataset", ({ engine }, wrong) => engine.dataset(wrong), "source"],
  ["dataset's options", ({ engine }, wrong) => engine.dataset(arrays(), wrong), "options"],
  ["kfac", ({ engine }, wrong) => engine.kfac(wrong), "model"],
  ["newton", ({ engine }, wrong) => engine.newton(wrong), "model"],
  ["sgd", ({ engine }, wrong) => engine.sgd(wrong, { learningRate: 1 }), "model"],
  ["adam", ({ engine }, wrong) => engine.adam(wrong), "model"],
  ["adamW", ({ engine }, wrong) => engine.adamW(wrong), "model"],
  ["preconditioner", ({ engine }, wrong) => engine.preconditioner(wrong), "layers"],
  ["gram", ({ engine }, wrong) => engine.gram(wrong), "options"],
  ["matmul", ({ engine }, wrong) => engine.matmul(wrong, wrong), "A"],
  ["invert", ({ engine }, wrong) => engine.invert(wrong), "S"],
  ["eighAll", ({ engine }, wrong) => engine.eighAll(wrong), "list"],
  ["batch", ({ data }, wrong) => data.batch(wrong), "indices"],
  ["batches", ({ data }, wrong) => data.batches(wrong), "options"],
  ["evaluate", ({ net }, wrong) => net.evaluate(wrong), "batch"],
  ["evaluate's options", ({ net, data }, wrong) => net.evaluate(data, wrong), "options"],
  ["predict's options", ({ net, data }, wrong) => net.predict(data, wrong), "options"],
  ["setWeights", ({ net }, wrong) => net.setWeights(wrong), "weights"],
  ["step", ({ optimizer }, wrong) => optimizer.step(wrong), "batch"],
  ["withAverage", ({ optimizer }, wrong) => optimizer.withAverage(wrong), "use"],
];

async function refusal(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

async function things(engine: Engine): Promise<Things> {
  const net = engine.network([dense(2, 3)], loss, { batchSize: 4 });
  const data = engine.dataset(arrays());
  const optimizer = engine.sgd(net, { learningRate: 0.1, averageDecay: 0.5 });
  return { engine, net, data, optimizer };
}

kernelTest("wrong arguments are refused by their names, and take no memory", async (t) => {
  const own = await things(t.engine);
  const before = t.engine.manager.counts.liveBuffers;
  for (const [name, call, operand] of CALLS) {
    // Where there is a default, undefined asks for it.
    for (const wrong of operand === "options" && name !== "gram" && name !== "batches"
      ? [null, 3]
      : [undefined, null, 3]) {
      const error = await refusal(() => call(own, wrong as never));
      assert(error instanceof ArgumentError, `${name}(${wrong}) gives ${String(error)}`);
      assertEqual(error.argument.split(".")[0], operand, `${name}(${wrong}): ${error.message}`);
    }
  }
  assertEqual(t.engine.manager.counts.liveBuffers, before, "buffers");
  own.optimizer.dispose();
  own.data.dispose();
  own.net.dispose();
});

kernelTest(
  "names of inputs are asked for where there are several, and refused where there is one",
  async (t) => {
    const own = await things(t.engine);
    const { engine, net } = own;
    const named = { inputs: { x: new Float32Array(8) }, targets: Uint32Array.of(0, 1, 2, 1), count: 4 };
    using resident = engine.dataset(named);
    const one = /inputs must be the array itself, since there is one input \(input\), got arrays by name: x/;
    for (const load of [() => net.load(named), () => net.load(resident.all)]) {
      const error = await refusal(load);
      assert(error instanceof ArgumentError && one.test(error.message), String(error));
    }
    const values = { sum: [dense(2, 3), "x"] } as const;
    using two = engine.network(graph({ inputs: { x: 2 }, values, output: "sum" }), loss, { batchSize: 4 });
    const error = await refusal(() => two.load(named));
    assert(error instanceof ArgumentError && /one input \(x\)/.test(error.message), String(error));
    const typo = await refusal(() => engine.dataset(arrays(), { storge: "f16" } as never));
    assert(/storge is not an option; pass storage/.test(String(typo)), String(typo));
    own.optimizer.dispose();
    own.data.dispose();
    net.dispose();
  },
);
