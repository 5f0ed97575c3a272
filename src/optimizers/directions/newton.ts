import { createApproximation, GgnBlock } from "../../curvature/index.js";
import { type CgResult, ConjugateGradients } from "../../linalg/index.js";
import type { Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { penaltyOf } from "../decay.js";
import { type DirectionContext, defineDirection, type Step, type StepPlan } from "../direction.js";
import { Optimizer } from "../optimizer.js";
import { NEWTON_OPTIONS } from "../options.js";
import type { StepRecord } from "../record.js";
import type { Schedule } from "../schedules.js";
import type { OptionsOf } from "../schema.js";

/** Options of `Newton`. */
export interface NewtonOptions extends OptionsOf<typeof NEWTON_OPTIONS> {}

type Schema = typeof NEWTON_OPTIONS;

/** How a layer's system was solved in one step. */
export interface LayerSolve extends Pick<CgResult, "status" | "iterations"> {
  readonly name: string;
  /** ‖r‖/‖G‖ of the recurrence at the end; undefined when numbers were not finite. */
  readonly residual: number | undefined;
}

/** The record of one step of `Newton`. */
export interface NewtonRecord extends StepRecord {
  readonly solves: readonly LayerSolve[];
}

/** U = (H + λI)⁻¹ G with H the layer's own block of the generalised Gauss-Newton matrix. */
export const newton = defineDirection({
  name: "newton",
  options: NEWTON_OPTIONS,
  velocity: "newtonVelocity",
  create({ manager, model: { layers, length }, memory, options }: DirectionContext<Schema>) {
    const { maxIterations, preconditioner, seed } = options;
    const buffer = memory.storage("update", length);
    const solvers = layers.map((layer) => ({
      cg: new ConjugateGradients(manager, layer.out, layer.in, maxIterations),
      block: new GgnBlock(manager, layer),
      approximation: preconditioner && createApproximation(manager, layer, preconditioner),
    }));
    return {
      withoutMicroBatches: "its systems are solved with the exact curvature of one pass",
      readBack: solvers.map(({ cg }) => ({ buffer: cg.state, bytes: cg.bytes })),
      fisher({ number, settings: { fisher: kind, samples } }: StepPlan<Schema>) {
        return { kind, samples, seed, step: number };
      },
      record(recorder, { pass, settings }: Step<Schema>) {
        const { tolerance } = settings;
        // The penalty's Hessian is ωI.
        const damping = settings.damping + penaltyOf(settings);
        for (const [l, { G }] of layers.entries()) {
          const { cg, block, approximation } = solvers[l]!;
          approximation?.fit(recorder, pass.layers[l]!);
          approximation?.damp(recorder, damping);
          const operands = { G, into: { ...G, buffer } };
          const options = { damping, tolerance, preconditioner: approximation?.preconditioner };
          cg.begin(recorder, block.over(pass.layers[l]!), operands, options);
          cg.iterate(recorder, maxIterations);
        }
        return { buffer };
      },
      decode(states: readonly ArrayBuffer[]): { solves: readonly LayerSolve[]; status?: string } {
        const solves = states.map((bytes, l): LayerSolve => {
          const { status, iterations, residuals } = solvers[l]!.cg.decode(bytes);
          return { name: layers[l]!.name, status, iterations, residual: residuals.at(-1) };
        });
        const troubled = solves.find(({ status }) => status === "breakdown" || status === "nonFinite");
        return { solves, ...(troubled && { status: `${troubled.name}: ${troubled.status}` }) };
      },
      dispose() {
        for (const { cg, block, approximation } of solvers) {
          cg.dispose();
          block.dispose();
          approximation?.dispose();
        }
      },
    };
  },
});

/**
 * Newton's method with the exact curvature of each layer, solved by conjugate gradients and never formed. For small networks
 * and as a yardstick for K-FAC, which replaces H by a Kronecker product. A step is one submit and waits for nothing.
 */
export class Newton extends Optimizer<typeof newton> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold the work space */
  constructor(manager: PipelineManager, model: Model, options: NewtonOptions = {}) {
    super(manager, model, newton, options);
  }

  /** λ of the next step. */
  get damping(): number {
    return this.setting("damping");
  }

  /** A number, or a schedule of it; counts from the next step on. @throws ArgumentError */
  set damping(value: number | Schedule) {
    this.change({ damping: value });
  }
}
