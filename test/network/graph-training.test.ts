/** Graphs under every optimiser: thirty steps on the GPU and in f64. */
import type { AnyBatch } from "../../src/model/index.js";
import { type Graph, type InputForm, Network, softmaxCrossEntropy, twinOf } from "../../src/network/index.js";
import { Adam, Kfac, type Optimizer, Sgd } from "../../src/optimizers/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { adamStep, initialAdamState } from "../../src/reference/adam.js";
import {
  type GraphInputs,
  graphLossAndGradients,
  type ReferenceGraph,
  type Weights,
} from "../../src/reference/graph.js";
import { initialKfacTrainingState, kfacGraphStep } from "../../src/reference/kfac-training.js";
import type { Targets } from "../../src/reference/loss.js";
import { initialSgdState, sgdStep } from "../../src/reference/sgd.js";
import { assert, assertClose, assertEqual, type TestContext, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { randomGraphBatch } from "./graph-helpers.js";
import { graphs } from "./graphs.js";
import { targetsOf } from "./helpers.js";

const STEPS = 30;
const loss = softmaxCrossEntropy();

/** One step in f64, from weights to weights. */
type Step = (weights: Weights, inputs: GraphInputs, targets: Targets) => { loss: number; weights: Weights };

interface Trainer {
  /** Relative error of what the weights have moved by, at the end. */
  bound: number;
  make(manager: PipelineManager, net: Network): Optimizer;
  twin(graph: ReferenceGraph, weights: Weights): Step;
}

const SGD = { learningRate: 0.05, momentum: 0.9, weightDecay: 1e-3 };
const ADAM = { learningRate: 0.01 };
const KFAC = { learningRate: 0.02, damping: 0.1, momentum: 0.5, inverseEvery: 5, klClip: 0.01, seed: 3 };

const trainers: Record<string, Trainer> = {
  sgd: {
    bound: 2e-4,
    make: (manager, net) => new Sgd(manager, net, SGD),
    twin(graph, first) {
      let state = initialSgdState(first);
      return (weights, inputs, targets) => {
        const own = graphLossAndGradients(graph, weights, loss.kind, inputs, targets);
        const next = sgdStep(weights, own.gradients, state, SGD);
        state = next.state;
        return { loss: own.loss, weights: next.weights };
      };
    },
  },
  adam: {
    bound: 1e-2,
    make: (manager, net) => new Adam(manager, net, ADAM),
    twin(graph, first) {
      let state = initialAdamState(first);
      return (weights, inputs, targets) => {
        const own = graphLossAndGradients(graph, weights, loss.kind, inputs, targets);
        const next = adamStep(weights, own.gradients, state, ADAM);
        state = next.state;
        return { loss: own.loss, weights: next.weights };
      };
    },
  },
  kfac: {
    bound: 1e-2,
    make: (manager, net) => new Kfac(manager, net, { ...KFAC, fisher: "exact" }),
    twin(graph, first) {
      let state = initialKfacTrainingState(first);
      return (weights, inputs, targets) => {
        const batch = { inputs, targets };
        const next = kfacGraphStep(graph, weights, loss.kind, batch, state, { ...KFAC, fisher: "exact" });
        state = next.state;
        return { loss: next.loss, weights: next.weights };
      };
    },
  },
};

async function train(t: TestContext, description: Graph, { make, twin, bound }: Trainer, what: string) {
  const manager = managerOf(t);
  const net = new Network(manager, description, loss, { batchSize: 12, seed: 5 });
  const reference = twinOf(description);
  const before = reference.weights(await net.weights(), net.layers);
  const optimizer = make(manager, net);
  const step = twin(reference.graph, before);
  const batches = twoBatches(t, description.inputs, net);
  let weights: Weights = before;
  const losses: number[] = [];
  for (let s = 0; s < STEPS; s++) {
    const batch = batches[s % 2]!;
    const record = await optimizer.step(batch);
    const wanted = step(weights, reference.inputs(batch.inputs, batch.count), targetsOf(batch, net.outputs));
    weights = wanted.weights;
    assertEqual(record.status, "ok", `${what}: status of step ${s + 1}`);
    assertClose([record.loss], [wanted.loss], bound, `${what}: loss of step ${s + 1}`);
    losses.push(record.loss);
  }
  const after = reference.weights(await net.weights(), net.layers);
  for (const key of Object.keys(before)) {
    const moved = (own: Weights) => own[key]!.data.map((w, k) => w - before[key]!.data[k]!);
    assertClose(moved(after), moved(weights), bound, `${what}: what ${key} has moved by`);
  }
  assert(losses.at(-1)! < 0.95 * losses[1]!, `${what}: the loss went from ${losses[1]} to ${losses.at(-1)}`);
  optimizer.dispose();
  net.dispose();
}

function twoBatches(t: TestContext, forms: Readonly<Record<string, InputForm>>, net: Network): AnyBatch[] {
  const random = t.random(4);
  return [12, 9].map((count) => randomGraphBatch(random, forms, count, net));
}

for (const name of [
  "a residual network of vectors",
  "residual blocks of images",
  "concatenated images and vectors",
  "a dense layer at three places, one after a fork",
  "a convolution at two places of different sizes",
  "a sequence",
  "an embedding of words and of a label",
]) {
  for (const [kind, trainer] of Object.entries(trainers)) {
    trainingTest(`graph: ${STEPS} steps of ${kind} on ${name}`, async (t) => {
      await train(t, graphs[name]!, trainer, `${kind}, ${name}`);
    });
  }
}
