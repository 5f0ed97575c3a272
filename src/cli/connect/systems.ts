/** Exact Hessians on the engine, for `kfac newton`: products and conjugate gradients on the GPU. */
import type { Approximation, ExampleSource } from "../../curvature/approximations/approximation.js";
import { createApproximation } from "../../curvature/approximations/kinds.js";
import { GgnBlock } from "../../curvature/exact/ggn.js";
import { kroneckerSum } from "../../curvature/exact/kronecker-sum.js";
import type { CurvatureOperator } from "../../curvature/exact/operator.js";
import type { Engine as Library } from "../../engine.js";
import { conjugateGradients } from "../../linalg/cg.js";
import { type Matrix, paddedLength, paddedView, sandwich } from "../../linalg/index.js";
import type { Curved } from "../../model/index.js";
import { conv2d, dense, flatten, halfSquaredError } from "../../network/index.js";
import type {
  Approximation as ApproximationKind,
  ConvolutionProblem,
  CurvatureSystem,
  HostMatrix,
} from "../engine.js";

const EXACT = { kind: "exact" } as const;
/** Power iterations of the nearest Kronecker product: enough for the last bits of f32. */
const KFOC_ITERATIONS = 200;

/** Matrices on the GPU that are freed together. */
class Memory {
  readonly #library: Library;
  readonly #buffers: GPUBuffer[] = [];

  constructor(library: Library) {
    this.#library = library;
  }

  /** rows × cols of zeros, rows on a `vec4f`. */
  matrix(rows: number, cols: number): Matrix {
    const buffer = this.#library.manager.createStorage("newton", paddedLength(rows, cols));
    this.#buffers.push(buffer);
    return paddedView(buffer, 0, rows, cols);
  }

  upload(host: HostMatrix): Matrix {
    const view = this.matrix(host.rows, host.cols);
    this.write(view, host);
    return view;
  }

  write(view: Matrix, { rows, cols, data }: HostMatrix): void {
    const padded = new Float32Array(rows * view.stride);
    for (let i = 0; i < rows; i++) padded.set(data.subarray(i * cols, (i + 1) * cols), i * view.stride);
    this.#library.device.queue.writeBuffer(view.buffer, 4 * view.offset, padded);
  }

  dispose(): void {
    for (const buffer of this.#buffers.splice(0)) this.#library.manager.destroyBuffer(buffer);
  }
}

function unpadded({ rows, cols, stride }: Matrix, bytes: ArrayBuffer): HostMatrix {
  const all = new Float32Array(bytes);
  const data = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) data.set(all.subarray(i * stride, i * stride + cols), i * cols);
  return { rows, cols, data };
}

const bytesOf = ({ rows, stride }: Matrix) => 4 * rows * stride;

/** An operator with the two matrices that it needs to be asked from the host. */
class System implements CurvatureSystem {
  readonly #library: Library;
  readonly #operator: CurvatureOperator;
  readonly #preconditioner: Pick<CurvatureOperator, "apply"> | undefined;
  readonly #layer: ExampleSource;
  readonly #count: number;
  readonly #free: () => void;
  #approximation: { kind: ApproximationKind; made: Approximation } | undefined;
  readonly #memory: Memory;
  readonly #input: Matrix;
  readonly #output: Matrix;
  /** What the operator is multiplied with to be H. */
  readonly #scale: number;

  constructor(
    library: Library,
    operator: CurvatureOperator,
    options: {
      free: () => void;
      scale?: number;
      /** What approximations are made of, on the scale of a mean over `count` examples. */
      layer: ExampleSource;
      count: number;
      preconditioner?: Pick<CurvatureOperator, "apply">;
    },
  ) {
    this.#library = library;
    this.#operator = operator;
    this.#preconditioner = options.preconditioner;
    this.#layer = options.layer;
    this.#count = options.count;
    this.#free = options.free;
    this.#scale = options.scale ?? 1;
    this.#memory = new Memory(library);
    this.#input = this.#memory.matrix(operator.rows, operator.cols);
    this.#output = this.#memory.matrix(operator.rows, operator.cols);
  }

  async apply(V: HostMatrix): Promise<HostMatrix> {
    this.#memory.write(this.#input, V);
    const recorder = this.#library.manager.record();
    this.#operator.apply(recorder, this.#input, this.#output);
    const reading = recorder.read(this.#output.buffer, 0, bytesOf(this.#output));
    recorder.submit();
    const product = unpadded(this.#output, await reading);
    return { ...product, data: product.data.map((x) => x * this.#scale) };
  }

  async solve(R: HostMatrix, options: { damping: number; maxIterations: number; tolerance?: number }) {
    const scale = this.#scale;
    this.#memory.write(this.#input, R);
    const { status, iterations } = await conjugateGradients(
      this.#library.manager,
      this.#operator,
      { G: this.#input, into: this.#output },
      {
        damping: options.damping / scale,
        maxIterations: options.maxIterations,
        tolerance: options.tolerance,
        preconditioner: this.#preconditioner,
        chunk: 32,
      },
    );
    const recorder = this.#library.manager.record();
    const reading = recorder.read(this.#output.buffer, 0, bytesOf(this.#output));
    recorder.submit();
    const solution = unpadded(this.#output, await reading);
    return { solution: { ...solution, data: solution.data.map((x) => x / scale) }, iterations, status };
  }

  async approximate(kind: ApproximationKind, R: HostMatrix, damping: number): Promise<HostMatrix> {
    const { manager } = this.#library;
    const count = this.#count;
    if (this.#approximation?.kind !== kind) {
      this.#approximation?.made.dispose();
      const made = createApproximation(manager, this.#layer, kind, { iterations: KFOC_ITERATIONS });
      this.#approximation = { kind, made };
      const recorder = manager.record();
      made.fit(recorder, this.#layer);
      recorder.submit();
    }
    const { made } = this.#approximation;
    this.#memory.write(this.#input, R);
    const recorder = manager.record();
    made.damp(recorder, damping / count);
    made.solve(recorder, this.#input, this.#output);
    const reading = recorder.read(this.#output.buffer, 0, bytesOf(this.#output));
    recorder.submit();
    const solution = unpadded(this.#output, await reading);
    return { ...solution, data: solution.data.map((x) => x / count) };
  }

  dispose(): void {
    this.#approximation?.made.dispose();
    this.#memory.dispose();
    this.#free();
  }
}

/** V ↦ Σ B_iB_i' V A_iA_i'; examples of different widths are filled up with zero columns, which add nothing. */
export function kroneckerSumSystem(
  library: Library,
  { A, B }: { A: HostMatrix[]; B: HostMatrix[] },
  inverses?: { left: HostMatrix; right: HostMatrix },
): CurvatureSystem {
  const memory = new Memory(library);
  const a = memory.upload(sideBySide(A));
  const b = memory.upload(sideBySide(B));
  const operator = kroneckerSum({ A: a, B: b, examples: A.length, layout: "rows" });
  const views = inverses && { P: memory.upload(inverses.left), Q: memory.upload(inverses.right) };
  const [T, C] = [a.rows / A.length, b.rows / A.length];
  return new System(library, operator, {
    free: () => memory.dispose(),
    layer: pairsOf(memory, { A, B }, T, C),
    count: A.length * T,
    preconditioner: views && {
      apply: (recorder, G, into) => sandwich(recorder, { ...views, G, into }),
    },
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
function pairsOf(
  memory: Memory,
  { A, B }: { A: readonly HostMatrix[]; B: readonly HostMatrix[] },
  T: number,
  C: number,
): ExampleSource {
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
export async function convolution(
  library: Library,
  problem: ConvolutionProblem,
): Promise<CurvatureSystem & { readonly gradient: HostMatrix }> {
  const { shape, W, head, target, kernel, stride, padding, dilation, bias } = problem;
  const [count, channels, height, width] = shape;
  const modules = [
    conv2d(channels, W.rows, kernel, { stride, padding, dilation, bias }),
    flatten(),
    ...(head ? [dense(head.cols, head.rows, { bias: false })] : []),
  ];
  const network = library.network(modules, halfSquaredError(), {
    input: [channels, height, width],
    batchSize: count,
    fisher: EXACT,
  });
  try {
    network.setWeights([W.data, ...(head ? [head.data] : [])]);
    network.load({ inputs: problem.inputs, targets: target.data, count });
    const recorder = library.manager.record();
    const pass = network.recordPass(recorder, EXACT);
    const [layer] = pass.layers as [Curved];
    const { G } = network.layers[0]!;
    const reading = recorder.read(G.buffer, 4 * G.offset, bytesOf(G));
    recorder.submit();
    const mean = unpadded(G, await reading);
    const block = new GgnBlock(library.manager, layer);
    // The engine's loss is the mean over examples; this one's is the sum.
    const system = new System(library, block.over(layer), {
      scale: count,
      layer,
      count,
      free: () => {
        block.dispose();
        network.dispose();
      },
    });
    const gradient = { ...mean, data: mean.data.map((x) => x * count) };
    return {
      gradient,
      apply: (V) => system.apply(V),
      solve: (R, options) => system.solve(R, options),
      approximate: (kind, R, damping) => system.approximate(kind, R, damping),
      dispose: () => system.dispose(),
    };
  } catch (error) {
    network.dispose();
    throw error;
  }
}
