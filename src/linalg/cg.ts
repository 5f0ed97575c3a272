import tgpu, { d } from "typegpu";
import code from "../../shaders/cg.wgsl?raw";
import {
  FLAG,
  must,
  NON_NEGATIVE,
  OBJECT,
  objectLike,
  optionsOf,
  type Rules,
  SIGNAL,
  SIZE,
  whole,
} from "../arguments.js";
import { AbortedError, ArgumentError } from "../errors.js";
import { defineKernel, type Kernel, type PipelineManager, type Recorder } from "../pipeline/index.js";
import { MANAGER, RECORDER } from "../pipeline/rules.js";
import { scoped } from "./layout/scoped.js";
import {
  checkView,
  type Matrix,
  type MatrixView,
  paddedLength,
  paddedView,
  requireDistinct,
  requireShape,
} from "./layout/view.js";

/** What `LinearOperator` says. */
export const OPERATOR = objectLike("a linear operator { rows, cols, apply }", "apply");

/** A linear map on rows × cols matrices. */
export interface LinearOperator {
  readonly rows: number;
  readonly cols: number;
  /** Records into ← H V; both have rows on a `vec4f` and lie in different buffers. */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void;
}

export const CgProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  stride: d.u32,
  gOffset: d.u32,
  gStride: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  chunks: d.u32,
  partials: d.u32,
  half: d.u32,
  plain: d.u32,
  warm: d.u32,
  damping: d.f32,
  tolerance: d.f32,
});

export const CgState = (words: number) =>
  d.struct({
    status: d.u32,
    iterations: d.u32,
    scale: d.f32,
    gg: d.f32,
    rr: d.f32,
    rz: d.f32,
    alpha: d.f32,
    beta: d.f32,
    certificate: d.f32,
    words: d.arrayOf(d.u32, words),
  });

export const cgLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(CgProblem), access: "readonly", visibility: ["compute"] },
    state: { storage: CgState, access: "mutable", visibility: ["compute"] },
    g: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    r: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    p: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    q: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    z: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
  })
  .$idx(0);

const STEPS = [
  "measure",
  "rescale",
  "start",
  "load",
  "open",
  "meet",
  "turn",
  "direction",
  "curve",
  "stride",
  "update",
  "settle",
  "certify",
] as const;
type CgStep = (typeof STEPS)[number];

const kernels = Object.fromEntries(
  STEPS.map((entryPoint) => [entryPoint, defineKernel({ name: "cg", code, layout: cgLayout, entryPoint })]),
) as Record<CgStep, Kernel>;

/** Numbers that a workgroup serves; the shader's CHUNK. */
const CHUNK = 1024;
/** Threads of a workgroup; the shader's THREADS. */
const THREADS = 64;
/** Words of the state before the residuals. */
const HEADER = 9;

/** What a system (H + λI) δ = G is solved with. */
export interface CgProblemOptions {
  /** λ ≥ 0; defaults to 0. */
  damping?: number;
  /** M⁻¹ for a symmetric positive definite M near H + λI; defaults to none. */
  preconditioner?: Pick<LinearOperator, "apply">;
  /** Done when the recurrence's ‖r‖ ≤ tolerance · ‖G‖; defaults to 1e-6, about the best that f32 can do. */
  tolerance?: number;
  /** Starts from what `into` holds instead of from zero; numbers there that are not finite count as zero. */
  warm?: boolean;
}

export interface CgResult {
  /**
   * `"budget"`: the iterations are used up. `"breakdown"`: a direction had no positive curvature, or the preconditioner
   * was not positive. `"nonFinite"`: G, the operator or the preconditioner gave numbers that are not finite. The last
   * good δ is kept in each case.
   */
  status: "converged" | "budget" | "breakdown" | "nonFinite";
  iterations: number;
  /** ‖r_k‖/‖G‖ of the recurrence, k = 0 … iterations. */
  residuals: number[];
  /** ‖G − (H + λI)δ‖/‖G‖ computed afresh at the end; undefined when that was not asked for or not finite. */
  certificate: number | undefined;
}

const STATUS = ["budget", "converged", "breakdown", "nonFinite"] as const;

/**
 * Preconditioned conjugate gradients (Hestenes & Stiefel 1952) for (H + λI) δ = G over rows × cols matrices, f32, all
 * scalars on the GPU: `begin`, then `iterate` as often as wanted, in as many recordings as wanted; once done, iterations
 * change nothing. Holds four matrices and the residuals.
 */
export class ConjugateGradients implements Disposable {
  readonly rows: number;
  readonly cols: number;
  /** What `decode` reads. */
  readonly state: GPUBuffer;
  readonly maxIterations: number;
  readonly #manager: PipelineManager;
  readonly #chunks: number;
  readonly #vectors: Record<"r" | "p" | "q" | "z", GPUBuffer>;
  #problem: { operator: LinearOperator; G: Matrix; X: Matrix; options: CgProblemOptions } | undefined;

  /** @throws ArgumentError for a bad `maxIterations`, LimitError when the device cannot hold the vectors */
  constructor(manager: PipelineManager, rows: number, cols: number, maxIterations: number) {
    must("cg", "manager", manager, MANAGER);
    must("cg", "rows", rows, SIZE);
    must("cg", "cols", cols, SIZE);
    must("cg", "maxIterations", maxIterations, whole(1));
    this.rows = rows;
    this.cols = cols;
    this.maxIterations = maxIterations;
    this.#manager = manager;
    this.#chunks = Math.ceil((rows * cols) / CHUNK);
    const length = paddedLength(rows, cols);
    const vector = (name: string) => manager.createStorage(`cg: ${name}`, length);
    this.#vectors = { r: vector("r"), p: vector("p"), q: vector("q"), z: vector("z") };
    this.state = manager.createStorage("cg: state", HEADER + maxIterations + 1 + 2 * this.#chunks);
  }

  /**
   * Records the start: δ = 0, or with `warm` what `into` holds.
   *
   * @throws ShapeError when shapes do not fit, ArgumentError for a bad λ or tolerance, or `into` in G's buffer.
   */
  begin(
    recorder: Recorder,
    operator: LinearOperator,
    operands: { G: MatrixView; into: MatrixView },
    options: CgProblemOptions = {},
  ): void {
    must("cg", "recorder", recorder, RECORDER);
    must("cg", "operator", operator, OPERATOR);
    must("cg", "operands", operands, OBJECT);
    optionsOf("cg", PROBLEM, options);
    const G = checkView("cg", "G", operands.G);
    const X = checkView("cg", "into", operands.into);
    requireShape("cg", "operator", { ...G, rows: operator.rows, cols: operator.cols }, this.rows, this.cols);
    requireShape("cg", "G", G, this.rows, this.cols);
    requireShape("cg", "into", X, this.rows, this.cols);
    requireDistinct("cg", ["into", X], [["G", G]]);
    this.#problem = { operator, G, X, options };
    this.#run(recorder, "measure");
    this.#run(recorder, "rescale");
    this.#load(recorder, options.warm === true);
    this.#run(recorder, "open");
  }

  /** Records `count` iterations. @throws ArgumentError unless it is a whole number up to `maxIterations`, and before `begin` */
  iterate(recorder: Recorder, count: number): void {
    must("cg", "count", count, whole(0, this.maxIterations));
    const { operator, options } = this.#started;
    for (let k = 0; k < count; k++) {
      scoped(recorder, (inner) => {
        if (options.preconditioner) {
          options.preconditioner.apply(inner, this.#vector("r"), this.#vector("z"));
          this.#run(inner, "meet");
        }
        this.#run(inner, "turn");
        this.#run(inner, "direction");
        operator.apply(inner, this.#vector("p"), this.#vector("q"));
        for (const step of ["curve", "stride", "update", "settle"] as const) this.#run(inner, step);
      });
    }
  }

  /** Records the true residual of δ as it is now; `iterate` must not follow. */
  certify(recorder: Recorder): void {
    this.#load(recorder, true);
    this.#run(recorder, "certify");
  }

  /** Bytes of `state` that `decode` wants. */
  get bytes(): number {
    return 4 * (HEADER + this.maxIterations + 1);
  }

  /** The outcome from the bytes of `state`. */
  decode(bytes: ArrayBuffer): CgResult {
    const [status, iterations] = new Uint32Array(bytes, 0, 2);
    const floats = new Float32Array(bytes);
    const certificate = floats[8]!;
    // A start that is not finite has no residual.
    const known = STATUS[status!] === "nonFinite" && iterations === 0 ? 0 : iterations! + 1;
    return {
      status: STATUS[status!]!,
      iterations: iterations!,
      residuals: Array.from(floats.subarray(HEADER, HEADER + known)),
      certificate: certificate >= 0 ? certificate : undefined,
    };
  }

  dispose(): void {
    for (const buffer of [this.state, ...Object.values(this.#vectors)]) this.#manager.destroyBuffer(buffer);
    this.#problem = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get #started() {
    if (!this.#problem) throw new ArgumentError("cg", "begin", "must come before iterate and certify");
    return this.#problem;
  }

  #vector(name: "r" | "p" | "q" | "z"): Matrix {
    return paddedView(this.#vectors[name], 0, this.rows, this.cols);
  }

  /** r ← s G − (H + λI) s δ, with δ = 0 unless `warm`. */
  #load(recorder: Recorder, warm: boolean): void {
    this.#run(recorder, "start", warm);
    if (warm) {
      scoped(recorder, (inner) => this.#started.operator.apply(inner, this.#vector("p"), this.#vector("q")));
    }
    this.#run(recorder, "load", warm);
  }

  #run(recorder: Recorder, step: CgStep, warm = false): void {
    const { G, X, options } = this.#started;
    const { damping = 0, tolerance = 1e-6, preconditioner } = options;
    const problems = this.#manager.table(CgProblem, [
      {
        rows: this.rows,
        cols: this.cols,
        stride: this.#vector("r").stride,
        gOffset: G.offset,
        gStride: G.stride,
        xOffset: X.offset,
        xStride: X.stride,
        chunks: this.#chunks,
        partials: this.maxIterations + 1,
        half: THREADS / 2,
        plain: preconditioner ? 0 : 1,
        warm: warm ? 1 : 0,
        damping,
        tolerance,
      },
    ]);
    const single = ["rescale", "open", "turn", "stride", "settle", "certify"].includes(step);
    recorder.dispatch(
      kernels[step],
      { problems, state: this.state, g: G.buffer, x: X.buffer, ...this.#vectors },
      single ? 1 : this.#chunks,
    );
  }
}

const PROBLEM: Rules<CgProblemOptions> = {
  damping: NON_NEGATIVE,
  tolerance: NON_NEGATIVE,
  preconditioner: objectLike("an object with apply", "apply"),
  warm: FLAG,
};

/** How `conjugateGradients` runs. */
export interface CgOptions extends CgProblemOptions {
  /** Defaults to the number of unknowns, at most 500. */
  maxIterations?: number;
  /** Iterations in one submit, after which the status is looked at; defaults to 16. */
  chunk?: number;
  /** Looked at between submits. `into` then holds the δ so far. */
  signal?: AbortSignal;
}

const OPTIONS: Rules<CgOptions> = { ...PROBLEM, maxIterations: whole(1), chunk: whole(1), signal: SIGNAL };

/**
 * Solves (H + λI) δ = G into `into`. A failure is a value: the status says so and δ is finite.
 *
 * @throws ShapeError, ArgumentError as `ConjugateGradients.begin`, AbortedError once the signal fires.
 */
export async function conjugateGradients(
  manager: PipelineManager,
  operator: LinearOperator,
  operands: { G: MatrixView; into: MatrixView },
  options: CgOptions = {},
): Promise<CgResult> {
  must("cg", "operator", operator, OPERATOR);
  const { rows, cols } = operator;
  const {
    maxIterations = Math.min(rows * cols, 500),
    chunk = 16,
    signal,
    ...problem
  } = optionsOf("cg", OPTIONS, options);
  if (signal?.aborted) throw new AbortedError("cg", signal.reason);
  const solver = new ConjugateGradients(manager, rows, cols, maxIterations);
  let used = 0;
  /** One submit; looks at the state when it is done. */
  const send = async (record: (recorder: Recorder) => void): Promise<CgResult> => {
    const recorder = manager.record();
    try {
      record(recorder);
    } catch (error) {
      recorder.end();
      throw error;
    }
    const reading = recorder.read(solver.state, 0, solver.bytes);
    recorder.submit();
    return solver.decode(await reading);
  };
  try {
    const kernels = manager.collect((recorder) => {
      solver.begin(recorder, operator, operands, problem);
      solver.iterate(recorder, 1);
      solver.certify(recorder);
    });
    await manager.prepare(kernels);
    for (;;) {
      const count = Math.min(chunk, maxIterations - used);
      const last = used + count === maxIterations;
      const result = await send((recorder) => {
        if (used === 0) solver.begin(recorder, operator, operands, problem);
        solver.iterate(recorder, count);
        if (last) solver.certify(recorder);
      });
      if (last) return result;
      used += count;
      if (result.status !== "budget") return await send((recorder) => solver.certify(recorder));
      if (signal?.aborted) throw new AbortedError("cg", signal.reason);
    }
  } finally {
    solver.dispose();
  }
}
