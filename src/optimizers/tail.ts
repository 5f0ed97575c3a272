import tgpu, { d } from "typegpu";
import coefficientsCode from "../../shaders/step_coefficients.wgsl?raw";
import gradientCode from "../../shaders/step_gradient.wgsl?raw";
import weightsCode from "../../shaders/step_weights.wgsl?raw";
import { ShapeError } from "../errors.js";
import { group, type Matrix, reduce } from "../linalg/index.js";
import type { Model } from "../model/index.js";
import { defineKernel, type PipelineManager, type Recorder, withConstants } from "../pipeline/index.js";
import type { StepControl } from "./control/control.js";
import { type DecaySettings, decoupledOf, penaltyOf } from "./decay.js";
import type { Step, Update } from "./direction.js";
import type { OptimizerMemory } from "./memory.js";
import type { Settings } from "./settings.js";
import { AppliedStep, LayerStep, Outcome } from "./structs.js";
import { groupsOf, StepSums } from "./sums.js";

export const StepSettings = d.struct({
  learningRate: d.f32,
  momentum: d.f32,
  /** ω of the penalty, and of a decay beside the step. */
  penalty: d.f32,
  decoupled: d.f32,
  gradientClip: d.f32,
  klClip: d.f32,
  velocity: d.u32,
});

export const GradientProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
  flag: d.u32,
  bit: d.u32,
  slopes: d.u32,
});

export const WeightsProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
});

export const stepGradientLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(GradientProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: StepSettings, visibility: ["compute"] },
    squares: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    gradients: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
    sums: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const stepCoefficientsLayout = tgpu
  .bindGroupLayout({
    layers: { storage: d.arrayOf(LayerStep), access: "readonly", visibility: ["compute"] },
    settings: { uniform: StepSettings, visibility: ["compute"] },
    sums: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    ready: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    coefficients: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    applied: { storage: d.arrayOf(AppliedStep), access: "mutable", visibility: ["compute"] },
    outcome: { storage: d.arrayOf(Outcome), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const stepWeightsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(WeightsProblem), access: "readonly", visibility: ["compute"] },
    applied: { storage: d.arrayOf(AppliedStep), access: "readonly", visibility: ["compute"] },
    coefficients: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    velocity: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    good: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const gradientKernel = defineKernel({
  name: "step_gradient",
  code: gradientCode,
  layout: stepGradientLayout,
  rowwise: true,
});
/** The same with the part of ⟨G, U⟩ that the U of the step before has in it. */
const slopeKernel = withConstants(gradientKernel, { SLOPE: 1 });
const coefficientsKernel = defineKernel({
  name: "step_coefficients",
  code: coefficientsCode,
  layout: stepCoefficientsLayout,
});
const weightsKernel = defineKernel({
  name: "step_weights",
  code: weightsCode,
  layout: stepWeightsLayout,
  rowwise: true,
});

/** Bits of a flag. */
export const GRADIENT_NOT_FINITE = 4;
export const UPDATE_NOT_FINITE = 8;

/** What a step's tail needs to know of the options. */
export interface TailSettings extends DecaySettings {
  readonly learningRate: number;
  readonly momentum?: number;
  readonly gradientClip: number;
  readonly klClip: number;
}

/** What became of a step, from the bytes of `outcome`. */
export interface TailOutcome {
  readonly clip: number;
  readonly gradientNorm: number;
  readonly updateNorm: number;
  readonly skippedLayers: number;
  /** The flags of all layers together. */
  readonly flags: number;
}

/**
 * The part of a step that is the same for every optimiser: the gradient clip, G ← G + ωW, a look at G and U for numbers that are
 * not finite, ‖G‖ and ‖U‖, the norm clip ν, V ← μV + νU, W ← W − ηV. What must be left alone gets a coefficient of 0 in the place
 * of ν. Weight decay is in G or, decoupled, W ← W − ηωW beside the step.
 */
export class StepTail {
  /** u32 a layer (with scope `"network"` the first is everybody's). */
  readonly flags: GPUBuffer;
  /** V, laid out like G; absent where there is no momentum. */
  readonly velocity: GPUBuffer | undefined;
  /** Norms and inner products of a step. */
  readonly sums: StepSums;
  /** What `decode` reads. */
  readonly outcome: { readonly buffer: GPUBuffer; readonly bytes: number };
  readonly #manager: PipelineManager;
  readonly #model: Model;
  readonly #network: boolean;
  readonly #settings: Settings<typeof StepSettings>;
  /** ‖G‖² of each layer before it is clipped. */
  readonly #squares: GPUBuffer;
  readonly #coefficients: GPUBuffer;
  readonly #applied: GPUBuffer;
  /** Bound where there is no V, and where there are no good weights; nothing reads or writes them. */
  readonly #noVelocity: GPUBuffer | undefined;
  readonly #noGood: GPUBuffer;

  /** @throws ShapeError when a layer's G is not laid out like its W, LimitError when the device cannot hold V. */
  constructor(
    manager: PipelineManager,
    model: Model,
    memory: OptimizerMemory,
    { scope, momentum }: { scope: "network" | "layer"; momentum: boolean },
  ) {
    const count = model.layers.length;
    for (const { name, W, G } of model.layers) requireSameLayout(name, W, G);
    this.#manager = manager;
    this.#model = model;
    this.#network = scope === "network";
    this.#settings = memory.settings("step settings", StepSettings);
    this.flags = memory.storage("step flags", count);
    this.#squares = memory.storage("squared gradients", count);
    this.#coefficients = memory.storage("coefficients", count);
    this.#applied = memory.storage("applied step", d.sizeOf(AppliedStep) / 4);
    const bytes = d.sizeOf(Outcome);
    this.outcome = { buffer: memory.storage("outcome", bytes / 4), bytes };
    this.velocity = momentum ? memory.storage("velocity", model.length) : undefined;
    this.#noVelocity = momentum ? undefined : memory.storage("no velocity", 1);
    this.#noGood = memory.storage("no good weights", 1);
    this.sums = new StepSums(model, memory);
  }

  /** Writes the numbers of a step, which the commands of `begin` and `finish` read. */
  write(settings: TailSettings): void {
    const { learningRate, momentum = 0, gradientClip, klClip } = settings;
    this.#settings.write({
      learningRate,
      momentum,
      penalty: penaltyOf(settings),
      decoupled: decoupledOf(settings),
      gradientClip,
      klClip,
      velocity: this.velocity ? 1 : 0,
    });
  }

  /**
   * Records the gradient clip, where there is one, G ← G + ωW, and the flags of what is then not finite; with `previous`, which holds
   * U of the step before, the slope that G finds along that.
   */
  begin(recorder: Recorder, clips: boolean, previous?: GPUBuffer): void {
    const { layers, parameters: weights, gradients } = this.#model;
    const { rows, groups } = group(
      layers.map(({ G }, layer) => ({
        ...placeOf(G),
        flag: this.#flagOf(layer),
        bit: GRADIENT_NOT_FINITE,
        slopes: this.sums.slopes(layer).slopes,
      })),
      (problem) => groupsOf(problem.rows),
    );
    const problems = this.#manager.table(GradientProblem, rows);
    const { flags } = this;
    recorder.clear(flags);
    const squares = this.#squares;
    if (clips) {
      reduce(
        recorder,
        squares,
        layers.map(({ G }, index) => ({ x: G, y: G, index })),
      );
    }
    recorder.dispatch(
      previous ? slopeKernel : gradientKernel,
      {
        problems,
        settings: this.#settings.buffer,
        squares,
        weights,
        // Read with `previous` alone.
        update: previous ?? weights,
        gradients,
        flags,
        sums: this.sums.buffer,
      },
      groups,
    );
  }

  /**
   * Records the rest, from U to the weights, after `begin`; without `update` U is G. A control, which
   * needs a velocity and an update of its own, says how far the step goes.
   *
   * @throws ShapeError for a U that has less room than G
   */
  finish(
    recorder: Recorder,
    update?: Update,
    controlled?: { control: StepControl; step: Pick<Step, "pass" | "examples"> },
  ): void {
    const { layers, parameters: weights, gradients } = this.#model;
    const control = controlled?.control;
    if (update) {
      requireRoom(update.buffer, this.#model.length);
      const bit = update.finite || update.buffer === gradients ? 0 : UPDATE_NOT_FINITE;
      this.sums.record(recorder, {
        gradients,
        update: update.buffer,
        velocity: control && this.velocity,
        flags: this.flags,
        looks: layers.map((_, layer) => ({ flag: this.#flagOf(layer), bit })),
      });
    }
    const rows = layers.map((_, layer) => {
      const { first, count } = update?.ready?.words[layer] ?? { first: 0, count: 0 };
      const places = this.sums.places(layer, update !== undefined);
      return { flag: this.#flagOf(layer), ready: first, words: count, ...places };
    });
    const sums = this.sums.buffer;
    const coefficients = this.#coefficients;
    const shared = {
      sums,
      flags: this.flags,
      ready: update?.ready?.state ?? this.flags,
      coefficients,
      applied: this.#applied,
      outcome: this.outcome.buffer,
    };
    if (controlled && update) {
      const forms = { buffer: sums, index: this.sums.forms };
      const directions = { update: update.buffer, velocity: this.velocity! };
      controlled.control.measure(recorder, forms, controlled.step, directions);
      controlled.control.plan(recorder, { rows, ...shared }, controlled.step.pass);
    } else {
      const table = this.#manager.table(LayerStep, rows);
      recorder.dispatch(coefficientsKernel, { ...shared, layers: table, settings: this.#settings.buffer }, 1);
    }
    const grouped = group(
      layers.map(({ W }) => placeOf(W)),
      (problem) => problem.rows,
    );
    recorder.dispatch(
      weightsKernel,
      {
        problems: this.#manager.table(WeightsProblem, grouped.rows),
        applied: this.#applied,
        coefficients,
        update: update?.buffer ?? gradients,
        velocity: (this.velocity ?? this.#noVelocity)!,
        good: control?.good ?? this.#noGood,
        weights,
      },
      grouped.groups,
    );
  }

  /** What the bytes of `outcome` say of a step with learning rate η. */
  decode(bytes: ArrayBuffer, learningRate: number): TailOutcome {
    const [clip, gradientSquared, updateSquared] = new Float32Array(bytes, 0, 3);
    const [skippedLayers, flags] = new Uint32Array(bytes, 12, 2);
    return {
      clip: clip!,
      gradientNorm: Math.sqrt(gradientSquared!),
      updateNorm: clip! > 0 ? learningRate * clip! * Math.sqrt(updateSquared!) : 0,
      skippedLayers: skippedLayers!,
      flags: flags!,
    };
  }

  #flagOf(layer: number): number {
    return this.#network ? 0 : layer;
  }
}

function placeOf({ rows, cols, offset, stride }: Matrix) {
  return { rows, cols, offset, stride };
}

function requireSameLayout(name: string, W: Matrix, G: Matrix): void {
  const text = (M: Matrix) => `${M.rows} × ${M.cols} at ${M.offset}, rows ${M.stride} apart`;
  if (text(W) === text(G)) return;
  throw new ShapeError("optimizer", `G of ${name}`, text(G), text(W), "lay G out as W is");
}

/** @throws ShapeError */
function requireRoom(update: GPUBuffer, length: number): void {
  if (update.size >= 4 * length) return;
  throw new ShapeError("optimizer", "U", [update.size / 4], [length], "lay U out as G is");
}
