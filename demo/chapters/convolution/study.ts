// The exact H_u of a convolution and its approximations, on the GPU.
import {
  type ApproximationMeasures,
  type CurvatureOperator,
  type Curved,
  compareCurvature,
  conjugateGradients,
  conv2d,
  createApproximation,
  DeviceMatrices,
  dense,
  denseHessian,
  type Engine,
  flatten,
  GgnBlock,
  globalAveragePool,
  type HostMatrix,
  leakyRelu,
  type Module,
  type Network,
  readMatrix,
  softmaxCrossEntropy,
} from "kfac-webgpu";
import { BatchStream, type Examples, head } from "../../assets/batches.js";
import {
  CLASSES,
  EXAMPLES,
  MEASURED,
  type Problem,
  SEED,
  SLOPE,
  sizesOf,
  TRAINING_BATCH,
} from "./problem.js";

export const APPROXIMATIONS = ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const;
export type ApproximationName = (typeof APPROXIMATIONS)[number];

export interface Study {
  problem: Problem;
  /** H_u, (out · in)² on column-major vec. */
  exact: HostMatrix;
  approximations: Record<ApproximationName, { dense: HostMatrix; error: number; size: number }>;
  /** `"none"` first, then as APPROXIMATIONS. */
  measures: readonly ApproximationMeasures[];
  /** (H_u + λI)⁻¹ G by conjugate gradients, out × in, and ‖G − (H_u + λI)δ‖/‖G‖. */
  step: Float32Array;
  certificate: number | undefined;
  /** For the same in f64: weights of all layers, and the batch. */
  weights: Float32Array[];
  inputs: Float32Array;
  labels: Uint32Array;
  /** Of the last training step; undefined without training. */
  loss: number | undefined;
}

const EXACT = { kind: "exact" } as const;
const TRAINING = { learningRate: 0.03, damping: 0.01, klClip: 0.001 } as const;

export interface StudyOptions {
  signal: AbortSignal;
  onProgress(done: number, total: number, text: string): void;
}

const STAGES = 9;

/** Trains a new network for some steps and measures its second convolution. @throws what the library throws */
export async function study(
  engine: Engine,
  examples: Examples,
  problem: Problem,
  { signal, onProgress }: StudyOptions,
): Promise<Study> {
  const side = problem.side;
  const network = engine.network(modulesOf(problem), softmaxCrossEntropy(), {
    input: [1, side, side],
    batchSize: TRAINING_BATCH,
    seed: SEED,
  });
  let done = 0;
  const stage = (text: string) => {
    signal.throwIfAborted();
    onProgress(done++, STAGES, text);
  };
  try {
    stage("Training");
    const loss = await train(engine, network, examples, problem.steps, signal);
    stage("The exact block");
    const { manager } = engine;
    const batch = head(examples, EXAMPLES);
    network.load(batch);
    const recorder = manager.record();
    const pass = network.recordPass(recorder, EXACT);
    recorder.submit();
    const layer = pass.layers[MEASURED]!;
    const { G } = network.layers[MEASURED]!;
    const block = new GgnBlock(manager, layer);
    const operator = block.over(layer);
    const exact = await denseHessian(manager, operator);
    const { step, certificate } = await exactStep(engine, operator, G, problem.damping, signal);
    block.dispose();
    const approximations = {} as Study["approximations"];
    for (const name of APPROXIMATIONS) {
      stage(`Forming ${name}`);
      const formedMatrix = await formed(engine, layer, name, problem.damping);
      approximations[name] = { dense: formedMatrix, ...distance(formedMatrix.data, exact.data) };
    }
    stage("Conjugate gradients");
    const comparison = await compareCurvature(manager, layer, {
      damping: problem.damping,
      G,
      kinds: APPROXIMATIONS,
      // The errors are those of the matrices formed above; one random product is the least that can be asked for.
      denseLimit: 1,
      probes: 1,
      signal,
    });
    stage("Reading back");
    const weights = await network.weights();
    return {
      problem,
      exact,
      approximations,
      measures: comparison.approximations,
      step,
      certificate,
      weights,
      inputs: batch.inputs,
      labels: batch.targets as Uint32Array,
      loss,
    };
  } finally {
    network.dispose();
  }
}

/** conv 3 × 3, leaky ReLU, the measured convolution, leaky ReLU, the head, dense. */
function modulesOf(problem: Problem): Module[] {
  const { kernel, channels, filters, head } = problem;
  const { positions } = sizesOf(problem);
  const features = head === "flatten" ? filters * positions : filters;
  return [
    conv2d(1, channels, 3, { padding: 1, name: "conv 1" }),
    leakyRelu(SLOPE),
    conv2d(channels, filters, kernel, {
      name: "conv 2",
      positions: head === "flatten" ? "expand" : "reduce",
    }),
    leakyRelu(SLOPE),
    head === "flatten" ? flatten() : globalAveragePool(),
    dense(features, CLASSES, { name: "dense" }),
  ];
}

async function train(
  engine: Engine,
  network: Network,
  examples: Examples,
  steps: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { count, inputs, labels } = examples;
  using data = engine.dataset({ count, inputs, targets: labels, classes: CLASSES });
  const stream = new BatchStream(data, TRAINING_BATCH, SEED);
  const kfac = engine.kfac(network, { ...TRAINING, seed: SEED });
  let loss: number | undefined;
  try {
    for (let step = 0; step < steps; step++) {
      const record = kfac.step(stream.batch(step));
      // A few in flight.
      if (step % 4 === 3 || step === steps - 1) loss = (await record).loss;
      signal.throwIfAborted();
    }
  } finally {
    kfac.dispose();
  }
  return loss;
}

async function exactStep(
  { manager }: Engine,
  operator: CurvatureOperator,
  G: Network["layers"][number]["G"],
  damping: number,
  signal: AbortSignal,
): Promise<{ step: Float32Array; certificate: number | undefined }> {
  const memory = new DeviceMatrices(manager, "exact step");
  try {
    const into = memory.matrix(operator.rows, operator.cols);
    const { certificate } = await conjugateGradients(
      manager,
      operator,
      { G, into },
      { damping, tolerance: 1e-6, signal },
    );
    const recorder = manager.record();
    const reading = readMatrix(recorder, into);
    recorder.submit();
    return { step: (await reading).data, certificate };
  } finally {
    memory.dispose();
  }
}

async function formed(
  { manager }: Engine,
  layer: Curved,
  name: ApproximationName,
  damping: number,
): Promise<HostMatrix> {
  const approximation = createApproximation(manager, layer, name);
  try {
    const recorder = manager.record();
    approximation.fit(recorder, layer);
    approximation.damp(recorder, damping);
    recorder.submit();
    return await denseHessian(manager, approximation);
  } finally {
    approximation.dispose();
  }
}

/** ‖X − Y‖/‖Y‖ and ‖X‖/‖Y‖. */
function distance(X: Float32Array, Y: Float32Array): { error: number; size: number } {
  let [difference, own, size] = [0, 0, 0];
  for (let k = 0; k < Y.length; k++) {
    difference += (X[k]! - Y[k]!) ** 2;
    own += X[k]! ** 2;
    size += Y[k]! ** 2;
  }
  return { error: Math.sqrt(difference / size), size: Math.sqrt(own / size) };
}
