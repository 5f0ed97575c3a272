// The curvature of one layer, exactly and as K-FAC sees it, at the weights of the moment.
import {
  type Curved,
  compareCurvature,
  DeviceMatrices,
  type Engine,
  GgnBlock,
  type HostMatrix,
  type LayerStatus,
  type MatrixView,
  type Network,
  readMatrices,
  readMatrix,
  softmaxCrossEntropy,
} from "kfac-webgpu";
import { head } from "../../assets/batches.js";
import { askOnce } from "../../ui/worker.js";
import { modulesOf } from "./contestant.js";
import { kroneckerBlock, largestDiagonal, relativeDistance, type Selection } from "./kronecker-error.js";
import type { Race } from "./race.js";
import type { TwinBlock, TwinRequest } from "./twin.js";

/** Training digits of the batch that the exact block is of. */
export const INSPECTED = 100;
/** An eigen-decomposition beyond this would hold up the page on a software adapter. */
const LARGEST_SPECTRUM = 256;
const SHOWN = { outputs: 6, inputs: 8 } as const;
const EXACT = { kind: "exact" } as const;

/** One factor's eigenvalues, largest first, and what K-FAC adds to them. */
export interface Spectrum {
  values: number[];
  damping: number;
  /** Σ μ/(μ + damping): how many directions the damping leaves alone. */
  effectiveRank: number;
}

export interface LayerSpectra {
  name: string;
  in: number;
  out: number;
  /** Undefined where the factor is too large to take apart in passing. */
  A: Spectrum | undefined;
  B: Spectrum | undefined;
}

export interface Inspection {
  step: number;
  layer: number;
  /** Every layer's, from the optimiser's own moving means. */
  spectra: LayerSpectra[];
  status: LayerStatus[];
  /** Blocks of the exact H and of Ā ⊗ B̄ of the same batch, by the GPU. */
  selection: Selection;
  exact: HostMatrix;
  kronecker: HostMatrix;
  /** ‖Ā ⊗ B̄ − H‖/‖H‖ of the layer's whole block by the GPU, from random products where it is large; and in f64. */
  error: number;
  estimated: boolean;
  errorReference: number;
  /** The shown block of H on the GPU against the same in f64, relative. */
  deviation: number;
  /** Cosines to the exact damped Newton step: of the gradient, and of K-FAC's step with factors of this batch. */
  cosine: { gradient: number; kfac: number };
  /** Iterations of conjugate gradients to the exact step, without and with K-FAC as preconditioner. */
  iterations: { plain: number; kfac: number };
}

/** @throws what the library throws; nothing of the race is changed. */
export async function inspect(race: Race, layer: number, signal: AbortSignal): Promise<Inspection> {
  const { engine, train, plan } = race;
  const { network, kfac } = race.contestant("kfac");
  if (!kfac) throw new Error("the first contestant is not K-FAC");
  const weights = await network.weights();
  const { curvature } = kfac;
  const sizes = curvature.layers;
  const means = await matricesOf(
    engine,
    sizes.flatMap((_, l) => {
      const { A, B } = curvature.factors(l)!;
      return [A, B];
    }),
  );
  const status = await layerStatuses(engine, race);
  const spectra = await spectraOf(engine, sizes, means, status);
  signal.throwIfAborted();

  const modules = modulesOf(train.features, plan.hidden, network.outputs);
  const copy = engine.network(modules, softmaxCrossEntropy(), { batchSize: INSPECTED, fisher: EXACT });
  try {
    copy.setWeights(weights);
    const batch = head(train, INSPECTED);
    const damping = race.last?.lambda ?? status[layer]!.lambda;
    const { exact, comparison, selection, kronecker } = await measureBlock(
      engine,
      copy,
      batch,
      layer,
      damping,
      signal,
    );
    const request: TwinRequest = {
      weights,
      sizes: network.layers.map((one) => ({ in: one.in, out: one.out })),
      inputs: batch.inputs,
      count: INSPECTED,
      layer,
      selection,
    };
    const worker = new Worker(new URL("./twin-worker.ts", import.meta.url), { type: "module" });
    const twin = await askOnce<TwinBlock>(worker, request, signal);
    const named = (name: string) => comparison.approximations.find((one) => one.name === name)!;
    const [none, product] = [named("none"), named("expandFactored")];
    return {
      step: race.step,
      layer,
      spectra,
      status,
      selection,
      exact,
      kronecker,
      error: product.error ?? Number.NaN,
      estimated: comparison.estimated,
      errorReference: twin.error,
      deviation: relativeDistance(exact.data, twin.exact.data),
      cosine: { gradient: none.cosine, kfac: product.cosine },
      iterations: { plain: none.cg.iterations, kfac: product.cg.iterations },
    };
  } finally {
    copy.dispose();
  }
}

async function measureBlock(
  engine: Engine,
  network: Network,
  batch: ReturnType<typeof head>,
  index: number,
  damping: number,
  signal: AbortSignal,
) {
  const { manager } = engine;
  network.load(batch);
  const recorder = manager.record();
  const pass = network.recordPass(recorder, EXACT);
  recorder.submit();
  const layer = pass.layers[index]!;
  const comparison = await compareCurvature(manager, layer, {
    damping: Math.max(damping, 1e-6),
    G: network.layers[index]!.G,
    // Its operator is Ā ⊗ B̄ as it is; only its step is damped.
    kinds: ["expandFactored"],
    maxIterations: 200,
    tolerance: 1e-4,
    signal,
  });
  // The factors of this batch, from the rows that the pass left.
  const { inputs, outputs } = { inputs: layer.inputs(), outputs: layer.outputs() };
  if (!("rows" in inputs && "rows" in outputs)) throw new Error("not a dense layer");
  const [a, b] = await matricesOf(engine, [inputs.rows, outputs.rows]);
  const [A, B] = await Promise.all([
    engine.matmul(a!, a!, { transposeA: true, alpha: inputs.scale }),
    engine.matmul(b!, b!, { transposeA: true, alpha: outputs.scale }),
  ]);
  const selection = { outputs: largestDiagonal(B, SHOWN.outputs), inputs: largestDiagonal(A, SHOWN.inputs) };
  const exact = await selectedBlock(engine, layer, selection);
  const block = kroneckerBlock({ A, B }, selection);
  return { comparison, selection, exact, kronecker: { ...block, data: Float32Array.from(block.data) } };
}

/** The products of H with the selected unit matrices, and of each the selected numbers. */
async function selectedBlock(
  { manager }: Engine,
  layer: Curved,
  { outputs, inputs }: Selection,
): Promise<HostMatrix> {
  const block = new GgnBlock(manager, layer);
  const operator = block.over(layer);
  const { rows, cols } = operator;
  const memory = new DeviceMatrices(manager, "selected block");
  const n = outputs.length * inputs.length;
  const data = new Float32Array(n * n);
  try {
    const [V, image] = [memory.matrix(rows, cols), memory.matrix(rows, cols)];
    const places = inputs.flatMap((j) => outputs.map((i) => i * cols + j));
    const unit = { rows, cols, data: new Float32Array(rows * cols) };
    const reads = places.map(async (place, k) => {
      unit.data[place] = 1;
      memory.write(V, unit);
      unit.data[place] = 0;
      const recorder = manager.record();
      operator.apply(recorder, V, image);
      const reading = readMatrix(recorder, image);
      recorder.submit();
      const { data: numbers } = await reading;
      places.forEach((other, r) => {
        data[r * n + k] = numbers[other]!;
      });
    });
    await Promise.all(reads);
    return { rows: n, cols: n, data };
  } finally {
    memory.dispose();
    block.dispose();
  }
}

async function matricesOf({ manager }: Engine, views: readonly MatrixView[]): Promise<HostMatrix[]> {
  const recorder = manager.record();
  const reading = readMatrices(recorder, views);
  recorder.submit();
  return reading;
}

async function layerStatuses({ manager }: Engine, race: Race): Promise<LayerStatus[]> {
  const { curvature } = race.contestant("kfac").kfac!;
  const recorder = manager.record();
  const reading = recorder.read(curvature.state);
  recorder.submit();
  return curvature.decode(await reading);
}

async function spectraOf(
  engine: Engine,
  sizes: readonly { name: string; in: number; out: number }[],
  means: readonly HostMatrix[],
  status: readonly LayerStatus[],
): Promise<LayerSpectra[]> {
  const small = means.filter(({ rows }) => rows <= LARGEST_SPECTRUM);
  const eigen = await engine.eighAll(small);
  const valuesOf = (mean: HostMatrix) => eigen[small.indexOf(mean)]?.values;
  return sizes.map((size, l) => {
    const { lambda, pi } = status[l]!;
    const root = Math.sqrt(lambda);
    const [a, b] = [valuesOf(means[2 * l]!), valuesOf(means[2 * l + 1]!)];
    return {
      name: size.name,
      in: size.in,
      out: size.out,
      A: a && spectrumOf(a, pi * root),
      B: b && spectrumOf(b, pi > 0 ? root / pi : 0),
    };
  });
}

export function spectrumOf(rising: Float32Array, damping: number): Spectrum {
  const values = Array.from(rising, (value) => Math.max(0, value)).reverse();
  const effectiveRank = values.reduce((sum, value) => sum + (value > 0 ? value / (value + damping) : 0), 0);
  return { values, damping, effectiveRank };
}
