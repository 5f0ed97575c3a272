/** Exact Hessians on the GPU: products, conjugate gradients and approximations, asked and answered in main memory. */
import type { Approximation, ExampleSource } from "../curvature/approximations/approximation.js";
import { createApproximation } from "../curvature/approximations/kinds.js";
import { GgnBlock } from "../curvature/exact/ggn.js";
import { kroneckerSum } from "../curvature/exact/kronecker-sum.js";
import type { CurvatureOperator } from "../curvature/exact/operator.js";
import { DeviceMatrices, type HostMatrix, readMatrix } from "../host/index.js";
import { conjugateGradients } from "../linalg/cg.js";
import { type Matrix, sandwich } from "../linalg/index.js";
import { conv2d, dense, flatten, halfSquaredError, Network } from "../network/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import type {
  ConvolutionData,
  ConvolutionSystem,
  CurvatureSystem,
  ExampleSides,
  SystemApproximation,
} from "./arithmetic.js";

const EXACT = { kind: "exact" } as const;
/** Power iterations of the nearest Kronecker product: enough for the last bits of f32. */
const KFOC_ITERATIONS = 200;

/** What a `System` is made of. */
interface SystemOptions {
  readonly operator: CurvatureOperator;
  /** What the operator is multiplied with to be H; defaults to 1. */
  readonly scale?: number;
  /** What approximations are made of, on the scale of a mean over `count` examples. */
  readonly layer: ExampleSource;
  readonly count: number;
  readonly preconditioner?: Pick<CurvatureOperator, "apply">;
  /** Frees what the operator lives on. */
  readonly free: () => void;
}

/** An operator with the two matrices that it needs to be asked from main memory. */
class System implements CurvatureSystem {
  readonly #manager: PipelineManager;
  readonly #options: SystemOptions;
  readonly #scale: number;
  readonly #memory: DeviceMatrices;
  readonly #input: Matrix;
  readonly #output: Matrix;
  #approximation: { kind: SystemApproximation; made: Approximation } | undefined;

  constructor(manager: PipelineManager, options: SystemOptions) {
    const { rows, cols } = options.operator;
    this.#manager = manager;
    this.#options = options;
    this.#scale = options.scale ?? 1;
    this.#memory = new DeviceMatrices(manager, "newton");
    this.#input = this.#memory.matrix(rows, cols);
    this.#output = this.#memory.matrix(rows, cols);
  }

  async apply(V: HostMatrix): Promise<HostMatrix> {
    this.#memory.write(this.#input, V);
    const product = await this.#result((recorder) =>
      this.#options.operator.apply(recorder, this.#input, this.#output),
    );
    return { ...product, data: product.data.map((x) => x * this.#scale) };
  }

  async solve(R: HostMatrix, options: { damping: number; maxIterations: number; tolerance?: number }) {
    const scale = this.#scale;
    const { operator, preconditioner } = this.#options;
    this.#memory.write(this.#input, R);
    const { status, iterations } = await conjugateGradients(
      this.#manager,
      operator,
      { G: this.#input, into: this.#output },
      {
        damping: options.damping / scale,
        maxIterations: options.maxIterations,
        tolerance: options.tolerance,
        preconditioner,
        chunk: 32,
      },
    );
    const solution = await this.#result(() => {});
    return { solution: { ...solution, data: solution.data.map((x) => x / scale) }, iterations, status };
  }

  async approximate(kind: SystemApproximation, R: HostMatrix, damping: number): Promise<HostMatrix> {
    const { count } = this.#options;
    const made = this.#fitted(kind);
    this.#memory.write(this.#input, R);
    const solution = await this.#result((recorder) => {
      made.damp(recorder, damping / count);
      made.solve(recorder, this.#input, this.#output);
    });
    return { ...solution, data: solution.data.map((x) => x / count) };
  }

  dispose(): void {
    this.#approximation?.made.dispose();
    this.#memory.dispose();
    this.#options.free();
  }

  #fitted(kind: SystemApproximation): Approximation {
    if (this.#approximation?.kind === kind) return this.#approximation.made;
    this.#approximation?.made.dispose();
    const { layer } = this.#options;
    const made = createApproximation(this.#manager, layer, kind, { iterations: KFOC_ITERATIONS });
    this.#approximation = { kind, made };
    const recorder = this.#manager.record();
    made.fit(recorder, layer);
    recorder.submit();
    return made;
  }

  async #result(record: (recorder: Recorder) => void): Promise<HostMatrix> {
    const recorder = this.#manager.record();
    record(recorder);
    const reading = readMatrix(recorder, this.#output);
    recorder.submit();
    return reading;
  }
}

/** V ↦ Σ B_iB_i' V A_iA_i'; examples of different widths are filled up with zero columns, which add nothing. */
export function kroneckerSumSystem(
  manager: PipelineManager,
  { A, B }: ExampleSides,
  inverses?: { readonly left: HostMatrix; readonly right: HostMatrix },
): CurvatureSystem {
  const memory = new DeviceMatrices(manager, "newton");
  const a = memory.upload(sideBySide(A));
  const b = memory.upload(sideBySide(B));
  const views = inverses && { P: memory.upload(inverses.left), Q: memory.upload(inverses.right) };
  const [T, C] = [a.rows / A.length, b.rows / A.length];
  return new System(manager, {
    operator: kroneckerSum({ A: a, B: b, examples: A.length, layout: "rows" }),
    layer: pairsOf(memory, { A, B }, T, C),
    count: A.length * T,
    preconditioner: views && {
      apply: (recorder, G, into) => sandwich(recorder, { ...views, G, into }),
    },
    free: () => memory.dispose(),
  });
}

/** The matrices' columns as rows, one matrix below the other, filled up with zeros to the widest. */
function sideBySide(list: readonly HostMatrix[]): HostMatrix {
  const width = Math.max(...list.map(({ cols }) => cols));
  const rows = list[0]!.rows;
  const data = new Float32Array(list.length * width * rows);
  list.forEach((m, i) => {
    for (let c = 0; c < m.cols; c++)
      for (let r = 0; r < rows; r++) data[(i * width + c) * rows + r] = m.data[r * m.cols + c]!;
  });
  return { rows: list.length * width, cols: rows, data };
}

/** As a dense layer: every column of an A_i is an example of its own, with all columns of B_i. */
function pairsOf(memory: DeviceMatrices, { A, B }: ExampleSides, T: number, C: number): ExampleSource {
  const count = A.length * T;
  const a = memory.upload(sideBySide(A));
  const wide = sideBySide(B);
  const out = wide.cols;
  const data = new Float32Array(C * count * out);
  for (let c = 0; c < C; c++) {
    for (let k = 0; k < count; k++) {
      const from = (Math.floor(k / T) * C + c) * out;
      data.set(wide.data.subarray(from, from + out), (c * count + k) * out);
    }
  }
  const b = memory.upload({ rows: C * count, cols: out, data });
  return {
    in: a.cols,
    out,
    positions: 1,
    inputs: () => ({ rows: a, scale: 1 / count }),
    outputs: () => ({ rows: b, scale: 1 / count }),
    curvatureRows: () => ({ rows: b, columns: C, count, divisor: count }),
  };
}

/** A network of the convolution and its head, whose last pass the operator belongs to. */
export async function convolutionSystem(
  manager: PipelineManager,
  { geometry, inputs, count, W, head, target }: ConvolutionData,
): Promise<ConvolutionSystem> {
  const { channels, height, width, kernel, stride, padding, dilation, bias } = geometry;
  const modules = [
    conv2d(channels, W.rows, kernel, { stride, padding, dilation, bias }),
    flatten(),
    ...(head ? [dense(head.cols, head.rows, { bias: false })] : []),
  ];
  const network = new Network(manager, modules, halfSquaredError(), {
    input: [channels, height, width],
    batchSize: count,
    fisher: EXACT,
  });
  try {
    network.setWeights([W.data, ...(head ? [head.data] : [])]);
    network.load({ inputs, targets: target.data, count });
    const recorder = manager.record();
    const layer = network.recordPass(recorder, EXACT).layers[0]!;
    const reading = readMatrix(recorder, network.layers[0]!.G);
    recorder.submit();
    const mean = await reading;
    const block = new GgnBlock(manager, layer);
    // The network's loss is the mean over examples; this one's is the sum.
    const system = new System(manager, {
      operator: block.over(layer),
      scale: count,
      layer,
      count,
      free: () => {
        block.dispose();
        network.dispose();
      },
    });
    return Object.assign(system, {
      gradient: { ...mean, data: mean.data.map((x) => x * count) },
    });
  } catch (error) {
    network.dispose();
    throw error;
  }
}
