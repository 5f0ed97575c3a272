/** Exact Hessians on the engine, for `kfac newton`: products and conjugate gradients on the GPU. */
import { GgnBlock } from "../../curvature/ggn.js";
import { kroneckerSum } from "../../curvature/kroneckerSum.js";
import type { CurvatureOperator } from "../../curvature/operator.js";
import type { Engine as Library } from "../../engine.js";
import { conjugateGradients } from "../../linalg/cg.js";
import { type Matrix, type MatrixView, paddedLength, paddedView, sandwich } from "../../linalg/index.js";
import { conv2d, dense, flatten, halfSquaredError } from "../../network/index.js";
import type { ConvolutionProblem, CurvatureSystem, HostMatrix } from "../engine.js";

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
  readonly #free: () => void;
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
      preconditioner?: Pick<CurvatureOperator, "apply">;
    },
  ) {
    this.#library = library;
    this.#operator = operator;
    this.#preconditioner = options.preconditioner;
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

  dispose(): void {
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
  const side = (list: HostMatrix[]): MatrixView => {
    const width = Math.max(...list.map(({ cols }) => cols));
    const rows = list[0]!.rows;
    // One example below the other, transposed: the layout "rows".
    const data = new Float32Array(list.length * width * rows);
    list.forEach((m, i) => {
      for (let c = 0; c < m.cols; c++)
        for (let r = 0; r < rows; r++) data[(i * width + c) * rows + r] = m.data[r * m.cols + c]!;
    });
    return memory.upload({ rows: list.length * width, cols: rows, data });
  };
  const operator = kroneckerSum({ A: side(A), B: side(B), examples: A.length, layout: "rows" });
  const views = inverses && { P: memory.upload(inverses.left), Q: memory.upload(inverses.right) };
  return new System(library, operator, {
    free: () => memory.dispose(),
    preconditioner: views && {
      apply: (recorder, G, into) => sandwich(recorder, { ...views, G, into }),
    },
  });
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
    fisher: { kind: "exact" },
  });
  try {
    network.setWeights([W.data, ...(head ? [head.data] : [])]);
    network.load({ inputs: problem.inputs, targets: target.data, count });
    const layer = network.layers[0]!;
    const recorder = library.manager.record();
    network.recordPass(recorder, { kind: "exact" });
    const { G } = layer;
    const reading = recorder.read(G.buffer, 4 * G.offset, bytesOf(G));
    recorder.submit();
    const mean = unpadded(G, await reading);
    const block = new GgnBlock(library.manager, layer);
    // The engine's loss is the mean over examples; this one's is the sum.
    const system = new System(library, block, {
      scale: count,
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
      dispose: () => system.dispose(),
    };
  } catch (error) {
    network.dispose();
    throw error;
  }
}
