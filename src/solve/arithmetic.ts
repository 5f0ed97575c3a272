/** What the solvers ask of the GPU, all of it in f32. Tests put an arithmetic of their own in its place. */
import type { Capabilities } from "../device/index.js";
import type { HostMatrix, HostOperations } from "../host/index.js";
import type { PipelineManager } from "../pipeline/index.js";
import type { ConvGeometry } from "../reference/index.js";

type MatrixOperations = Pick<HostOperations, "gram" | "matmul" | "invert" | "sandwich" | "eigh">;

/** The part of an `Engine` that the solvers use. */
export interface SolverEngine extends MatrixOperations {
  readonly manager: PipelineManager;
  readonly capabilities: Pick<Capabilities, "adapter">;
}

export interface Arithmetic extends MatrixOperations {
  /** Who computes, in words. */
  readonly adapter: string;
  /** V ↦ Σ B_iB_i' V A_iA_i'. With `inverses`, solutions are preconditioned by left · R · right. */
  kroneckerSum(
    examples: ExampleSides,
    inverses?: { readonly left: HostMatrix; readonly right: HostMatrix },
  ): CurvatureSystem;
  /** The Hessian in a convolution's weights of half squared error, summed over examples. */
  convolution(data: ConvolutionData): Promise<ConvolutionSystem>;
}

/** A_i and B_i of all examples. */
export interface ExampleSides {
  readonly A: readonly HostMatrix[];
  readonly B: readonly HostMatrix[];
}

/** A `ConvolutionProblem`'s numbers in f32, and its sizes. */
export interface ConvolutionData {
  readonly geometry: ConvGeometry;
  /** N × C × H × W numbers. */
  readonly inputs: Float32Array;
  readonly count: number;
  readonly W: HostMatrix;
  readonly head: HostMatrix | undefined;
  readonly target: HostMatrix;
}

/** The approximations that a system can be solved with. */
export type SystemApproximation = "expand" | "reduce" | "ekfac" | "kfoc" | "meanFluctuation";

/** A symmetric positive semi-definite H on out × in matrices that the GPU holds and never forms. */
export interface CurvatureSystem {
  /** H V. */
  apply(V: HostMatrix): Promise<HostMatrix>;
  /** (H + damping·I)⁻¹ R by conjugate gradients from zero. */
  solve(
    R: HostMatrix,
    options: { damping: number; maxIterations: number; tolerance?: number },
  ): Promise<{ solution: HostMatrix; iterations: number; status: string }>;
  /** (H̃ + damping·I)⁻¹ R with an approximation H̃ of H; meanFluctuation has its damping in the second product. */
  approximate(kind: SystemApproximation, R: HostMatrix, damping: number): Promise<HostMatrix>;
  dispose(): void;
}

export interface ConvolutionSystem extends CurvatureSystem {
  /** Of the sum loss at W. */
  readonly gradient: HostMatrix;
}
