/** Optimisers after their end, and calls that come while a step waits for its kernels. */
import { ArgumentError, CheckpointError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import type { Batch } from "../../src/model/index.js";
import { dense, type Module, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { Optimizer, OptimizerState } from "../../src/optimizers/index.js";
import { calls } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const MODULES: Module[] = [dense(7, 11), tanh(), dense(11, 4)];
const optimizers: Record<string, (engine: Engine, net: Network) => Optimizer> = {
  kfac: (engine, net) => engine.kfac(net, { inverseEvery: 3, factorEvery: 2, seed: 5, klClip: 0.01 }),
  sgd: (engine, net) => engine.sgd(net, { learningRate: 0.1 }),
  adam: (engine, net) => engine.adam(net, { learningRate: 0.01 }),
  newton: (engine, net) => engine.newton(net, { maxIterations: 5 }),
};

for (const [name, make] of Object.entries(optimizers)) {
  trainingTest(`${name}: once disposed of, it refuses everything`, async (t) => {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const own = make(t.engine, net);
    const batch = randomBatch(t.random(1), 16, 7, 4, LOSS);
    await own.step(batch);
    const state = await own.state();
    const weights = await net.weights();
    own.dispose();
    own.dispose();
    const gone = (operation: string) =>
      new RegExp(`^${name}\\.${operation}: optimizer is disposed of; make another`);
    await assertThrows(() => own.step(batch), ArgumentError, gone("step"));
    await assertThrows(() => own.state(), ArgumentError, gone("state"));
    assertThrows(() => own.restore(state), ArgumentError, gone("restore"));
    assertSame(await net.weights(), weights, "weights");
    net.dispose();
  });

  trainingTest(
    `${name}: steps that wait when it is disposed of are refused, and nobody need listen`,
    async (t) => {
      const engine = await createEngine(t.device);
      const net = engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
      const own = make(engine, net);
      const batch = randomBatch(t.random(1), 16, 7, 4, LOSS);
      const weights = await net.weights();
      // The harness fails this test for errors that nobody listens to.
      void own.step(batch);
      const second = own.step(batch);
      const { size } = net.parameters;
      own.dispose();
      await assertThrows(() => second, ArgumentError, /disposed of/);
      assertEqual(net.parameters.size, size, "the network's own buffers");
      assertSame(await net.weights(), weights, "weights");
      engine.dispose();
    },
  );

  trainingTest(`${name}: what is no batch is refused`, async (t) => {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const own = make(t.engine, net);
    for (const batch of [undefined, null, 3, "batch"]) {
      const step = () => own.step(batch as unknown as Batch);
      await assertThrows(step, ArgumentError, /batch must be an object, got/);
    }
    for (const batch of [{}, { count: 2 }, []]) {
      await assertThrows(() => own.step(batch as unknown as Batch), ArgumentError);
    }
    for (const state of [undefined, null, 3, {}]) {
      assertThrows(() => own.restore(state as unknown as OptimizerState), CheckpointError, /optimizer/);
    }
    assertEqual(own.steps, 0, "steps");
    own.dispose();
    net.dispose();
  });

  trainingTest(`${name}: calls act in the order made, from the very first on`, async (t) => {
    const random = t.random(2);
    const batches = Array.from({ length: 4 }, () => randomBatch(random, 16, 7, 4, LOSS));
    const [a, b, c, d] = batches as [Batch, Batch, Batch, Batch];
    const engine = await createEngine(t.device);
    const reference = engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const steady = make(engine, reference);
    await steady.step(a);
    const after = await steady.state();

    // A fresh engine, whose kernels are still to be compiled: all of this waits for them.
    const fresh = await createEngine(t.device);
    const net = fresh.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const own = make(fresh, net);
    void own.step(b);
    const state = own.state();
    own.restore(after);
    const record = own.step(c);
    own.change({ learningRate: 0.03 });
    const last = own.step(d);
    assertEqual(own.steps, 0, "steps while all wait");
    assertEqual((await state).step![0], 1, "step of the state");
    assertEqual(`${(await record).step} ${(await last).step} ${own.steps}`, "2 3 3", "numbers of the steps");

    const other = engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const slow = make(engine, other);
    await slow.step(b);
    assertSame(Object.values(await state), Object.values(await slow.state()), "state");
    slow.restore(after);
    await slow.step(c);
    slow.learningRate = 0.03;
    await slow.step(d);
    assertSame(await net.weights(), await other.weights(), "weights");
    engine.dispose();
    fresh.dispose();
  });

  trainingTest(
    `${name}: no step compiles a kernel on the spot, whatever the size of its batch`,
    async (t) => {
      const engine = await createEngine(t.device);
      // A large layer, so that batch sizes choose among the forms of the products.
      const net = engine.network([dense(150, 70), tanh(), dense(70, 4)], LOSS, { batchSize: 160, seed: 3 });
      const own = make(engine, net);
      const random = t.random(3);
      // Making a network compiles what sets its ones.
      const other = await createEngine(t.device);
      const resumed = make(
        other,
        other.network([dense(150, 70), tanh(), dense(70, 4)], LOSS, { batchSize: 160 }),
      );
      const compiled = await calls(t.device, "createComputePipeline", async () => {
        for (const count of [1, 160, 17, 1, 160, 96]) {
          const batch = randomBatch(random, count, 150, 4, LOSS);
          const records = await Promise.all([own.step(batch), own.step(batch), own.step(batch)]);
          // Batches of one example and of 160 have losses so far apart that K-FAC may leave one out.
          for (const { status } of records)
            assert(/^(ok|batch left out|loss far above)/.test(status), status);
        }
        // Also where a run goes on at a step that does less than others do, on an engine that has compiled nothing.
        const state = await own.state();
        resumed.restore({ ...state, step: Uint32Array.of(5) });
        for (let k = 0; k < 4; k++) await resumed.step(randomBatch(random, 31, 150, 4, LOSS));
      });
      assertEqual(compiled, 0, "pipelines compiled in the way");
      assert(engine.manager.counts.pipelines > 5, "nothing was compiled");
      other.dispose();
      engine.dispose();
    },
  );
}

trainingTest("tensors of another type than the checkpoint's are refused, whatever their bytes", async (t) => {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
  for (const make of Object.values(optimizers)) {
    const own = make(t.engine, net);
    const state = await own.state();
    for (const [tensor, data] of Object.entries(state)) {
      if (tensor === "step") continue;
      const Other = data instanceof Uint32Array ? Float32Array : Uint32Array;
      for (const bad of [new Other(data.length), [...data], "bytes"]) {
        const restore = () => own.restore({ ...state, [tensor]: bad } as unknown as OptimizerState);
        assertThrows(restore, CheckpointError, new RegExp(`${tensor}: must be a (Float32|Uint32)Array, got`));
      }
    }
    own.restore(state);
    own.dispose();
  }
  net.dispose();
});

trainingTest("a step on a network that is disposed of says so", async (t) => {
  for (const make of Object.values(optimizers)) {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const own = make(t.engine, net);
    const batch = randomBatch(t.random(1), 16, 7, 4, LOSS);
    await own.step(batch);
    net.dispose();
    await assertThrows(() => own.step(batch), ArgumentError, /network is disposed of/);
    assertThrows(() => make(t.engine, net), ArgumentError, /network is disposed of/);
    own.dispose();
  }
});

trainingTest("the tensors of checkpoints keep their names", async (t) => {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
  const names: Record<string, string> = {
    kfac: "step,factors,inverses,layerState,control,goodWeights,update,velocity",
    sgd: "step,velocity",
    adam: "step,first,second",
    newton: "step,newtonVelocity",
  };
  for (const [name, make] of Object.entries(optimizers)) {
    const own = make(t.engine, net);
    const state = await own.state();
    assertEqual(Object.keys(state).join(), names[name], name);
    for (const [tensor, data] of Object.entries(state)) {
      const words =
        ["step", "layerState", "control"].includes(tensor) || (name === "kfac" && tensor === "update");
      assertEqual(data instanceof Uint32Array, words, `${name}.${tensor} is words`);
    }
    own.dispose();
  }
  net.dispose();
});
