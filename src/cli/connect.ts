/** The engine as the command line sees it: this file and connect/ are the only ones here that know the engine itself. */
import { halfSquaredError, sigmoidCrossEntropy, softmaxCrossEntropy } from "../network/index.js";
import { createNodeEngine } from "../node.js";
import { convolution, kroneckerSumSystem } from "../solve/systems.js";
import { verify } from "../verify/index.js";
import { compareLayers } from "./connect/curvature.js";
import { modulesOf } from "./connect/modules.js";
import type { Engine, HyperParameters, NetworkPlan } from "./engine.js";
import { shapeOf } from "./layers.js";

const LOSS = { softmax: softmaxCrossEntropy, squared: halfSquaredError, sigmoid: sigmoidCrossEntropy };

type Library = Awaited<ReturnType<typeof createNodeEngine>>;
type LibraryNetwork = ReturnType<Library["network"]>;

/** Throws `NoAdapterError` where there is no WebGPU. */
export async function openEngine(): Promise<Engine> {
  const engine = await createNodeEngine();
  return {
    capabilities: engine.capabilities,
    network: ({ sizes, activation, loss, batchSize, seed }: NetworkPlan) =>
      engine.network(modulesOf(sizes, activation), LOSS[loss](), {
        batchSize,
        seed,
        input: shapeOf(sizes[0]!),
      }),
    optimizer: (kind, network, settings, seed) =>
      // Every network that comes here was made above.
      optimizerOf(engine, kind, network as LibraryNetwork, settings, seed),
    gram: (options) => engine.gram(options),
    matmul: (A, B, options) => engine.matmul(A, B, options),
    invert: (S, options) => engine.invert(S, options),
    sandwich: (P, G, Q) => engine.sandwich(P, G, Q),
    eigh: (S) => engine.eigh(S),
    kroneckerSum: (examples, inverses) => kroneckerSumSystem(engine, examples, inverses),
    convolution: (problem) => convolution(engine, problem),
    compare: (network, batch, options) => compareLayers(engine, network as LibraryNetwork, batch, options),
    verify: (options) => verify(engine, options),
    dispose: () => engine.dispose(),
  };
}

function optimizerOf(
  engine: Library,
  kind: "kfac" | "sgd" | "adam",
  network: LibraryNetwork,
  settings: HyperParameters,
  seed: number,
) {
  const { learningRate, finalRate: _schedule, momentum, weightDecay, fisher, samples, ...kfac } = settings;
  if (kind === "sgd")
    return engine.sgd(network, { learningRate: learningRate ?? 0.1, momentum, weightDecay });
  if (kind === "adam") return engine.adam(network, { learningRate, weightDecay });
  return engine.kfac(network, {
    ...kfac,
    learningRate,
    momentum,
    weightDecay,
    ...(fisher === undefined ? {} : { fisher: { kind: fisher, samples } }),
    seed,
  });
}
