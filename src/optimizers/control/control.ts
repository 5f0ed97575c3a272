import tgpu, { d } from "typegpu";
import judgeCode from "../../../shaders/step_judge.wgsl?raw";
import planCode from "../../../shaders/step_plan.wgsl?raw";
import ratioCode from "../../../shaders/step_ratio.wgsl?raw";
import type { StoredNumber } from "../../curvature/index.js";
import { axpy } from "../../linalg/index.js";
import type { Model, Pass } from "../../model/index.js";
import { defineKernel, type Recorder, withConstants } from "../../pipeline/index.js";
import { pair } from "../accumulation.js";
import type { OptimizerMemory } from "../memory.js";
import type { BufferRange, StateTensor } from "../ranges.js";
import type { Settings } from "../settings.js";
import { AppliedStep, LayerStep, Outcome } from "../structs.js";
import { FORM_PARTS } from "../sums.js";
import { quadraticForms } from "./forms.js";
import { type ControlNumbers, type ControlReport, controlReport, STATE_WORDS, StepState } from "./state.js";

export const ControlSettings = d.struct({
  learningRate: d.f32,
  momentum: d.f32,
  damping: d.f32,
  rule: d.u32,
  leastDamping: d.f32,
  mostDamping: d.f32,
  /** ω of the penalty, and of a decay beside the step. */
  penalty: d.f32,
  decoupled: d.f32,
  klClip: d.f32,
  trustRegion: d.f32,
  measures: d.u32,
  refreshes: d.u32,
  examples: d.u32,
  every: d.u32,
  /** The step changes no weights, and one before it has changed them. */
  waits: d.u32,
  moved: d.u32,
  /** Steps in which every inverse is renewed. */
  period: d.u32,
});

export const stepJudgeLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: ControlSettings, visibility: ["compute"] },
    statistics: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(StepState), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const stepPlanLayout = tgpu
  .bindGroupLayout({
    layers: { storage: d.arrayOf(LayerStep), access: "readonly", visibility: ["compute"] },
    settings: { uniform: ControlSettings, visibility: ["compute"] },
    sums: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    ready: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(StepState), access: "mutable", visibility: ["compute"] },
    coefficients: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    applied: { storage: d.arrayOf(AppliedStep), access: "mutable", visibility: ["compute"] },
    outcome: { storage: d.arrayOf(Outcome), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const stepRatioLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: ControlSettings, visibility: ["compute"] },
    after: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(StepState), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const judgeKernel = defineKernel({ name: "step_judge", code: judgeCode, layout: stepJudgeLayout });
const planKernel = defineKernel({ name: "step_plan", code: planCode, layout: stepPlanLayout });
/** By whether the forms come in parts. */
const planKernels = { whole: planKernel, inParts: withConstants(planKernel, { PARTS: FORM_PARTS }) };
const ratioKernel = defineKernel({ name: "step_ratio", code: ratioCode, layout: stepRatioLayout });

/** The words of `shaders/source/pieces/damping_rules.wgsl`. */
const RULES = { fixed: 0, loss: 1, levenbergMarquardt: 2 } as const;
/** The quadratic model of a large batch is of a quarter of it (Martens & Grosse 2015, section 8), but of no fewer than so many. */
const FORM_EXAMPLES = 128;
/** Steps between two reduction ratios. */
const RATIO_EVERY = 5;

/** What the control takes of a step's settings. */
export interface ControlPlan {
  /** η; undefined: from the quadratic model. */
  readonly learningRate: number | undefined;
  /** μ; undefined: from the quadratic model. */
  readonly momentum: number | undefined;
  /** λ, or its share of the running loss, where it begins for `"levenbergMarquardt"`. */
  readonly damping: number;
  readonly rule: keyof typeof RULES;
  readonly leastDamping: number;
  readonly mostDamping: number;
  /** ω of the penalty ½ω‖W‖². */
  readonly penalty: number;
  /** ω of a decay beside the step. */
  readonly decoupled: number;
  readonly klClip: number;
  readonly trustRegion: number;
  /** Whether this step measures the quadratic model; see `canMeasure`. */
  readonly measures: boolean;
  /** Whether this step renews inverses, with λ as it then is. */
  readonly refreshes: boolean;
  /** Steps in which every inverse is renewed. */
  readonly period: number;
  /** Of the batch. */
  readonly examples: number;
  /** 1 for the first step. */
  readonly number: number;
  /** Number of the first step that changes weights. Those before it judge batches alone. */
  readonly firstStep: number;
}

/** What the end of a step shares with its control. */
export interface ControlledTail {
  readonly rows: readonly d.InferInput<typeof LayerStep>[];
  readonly sums: GPUBuffer;
  readonly flags: GPUBuffer;
  readonly ready: GPUBuffer;
  readonly coefficients: GPUBuffer;
  readonly applied: GPUBuffer;
  readonly outcome: GPUBuffer;
}

/**
 * Decides on the GPU, without the host, whether a batch is taken, held back or shows that the last step was bad, what λ is,
 * and how far a step goes. See `shaders/source/step_judge.wgsl` and `step_plan.wgsl` for the rules.
 */
export class StepControl {
  /** `StepState`. */
  readonly state: GPUBuffer;
  /** The weights from which the last step was taken. */
  readonly good: GPUBuffer;
  readonly #model: Model;
  readonly #settings: Settings<typeof ControlSettings>;
  readonly #after: GPUBuffer;
  #measures = false;
  #asksForRatio = false;

  /** @throws LimitError when the device cannot hold the weights twice */
  constructor(model: Model, memory: OptimizerMemory) {
    this.#model = model;
    this.state = memory.storage("step state", d.sizeOf(StepState) / 4);
    this.good = memory.storage("good weights", model.length);
    this.#after = memory.storage("loss after the step", 2);
    this.#settings = memory.settings("control settings", ControlSettings);
  }

  /** A u32: 1 where this step's batch is to be left out, 2 where the curvature starts afresh with it. */
  get skip(): StoredNumber {
    return { buffer: this.state, index: STATE_WORDS.skip };
  }

  /** One of `Verdict`, a u32: on this step's batch. */
  get verdict(): StoredNumber {
    return { buffer: this.state, index: STATE_WORDS.verdict };
  }

  /** λ for the curvature. */
  get lambda(): StoredNumber {
    return { buffer: this.state, index: STATE_WORDS.lambda };
  }

  /** What a checkpoint holds. */
  get tensors(): Readonly<Record<string, StateTensor>> {
    return { control: { buffer: this.state, words: true }, goodWeights: this.good };
  }

  /** What `report` decodes. */
  get readBack(): BufferRange {
    return { buffer: this.state, bytes: d.sizeOf(StepState) };
  }

  /** Whether a pass lets the quadratic model be measured: exactly, or by its curvature columns. */
  canMeasure(pass: Pass): boolean {
    return this.#exact(pass) || pass.fisher !== undefined;
  }

  /** What the commands of a step with this plan follow from. */
  recording(plan: ControlPlan): string {
    return `${plan.measures} ${asksForRatio(plan)}`;
  }

  /** Writes the numbers of a step, before anything of it is recorded here. */
  write(plan: ControlPlan): void {
    const { learningRate = 0, momentum = -1, rule, number, firstStep, measures, refreshes, ...rest } = plan;
    this.#measures = measures;
    this.#asksForRatio = asksForRatio(plan);
    this.#settings.write({
      ...rest,
      learningRate,
      momentum,
      rule: RULES[rule],
      every: RATIO_EVERY,
      waits: number < firstStep ? 1 : 0,
      moved: number > firstStep ? 1 : 0,
      measures: measures ? 1 : 0,
      refreshes: refreshes ? 1 : 0,
    });
  }

  /** Records the verdict on the batch of the pass. */
  judge(recorder: Recorder): void {
    const { statistics } = this.#model;
    recorder.dispatch(judgeKernel, { settings: this.#settings.buffer, statistics, state: this.state }, 1);
  }

  /**
   * Records the forms of the quadratic model along U and V, where this step measures it. Of a batch in micro-batches it is that of
   * the one whose pass it is, a part of the batch as it is of any large one.
   *
   * @param forms has room for four numbers, each in `FORM_PARTS` parts
   */
  measure(
    recorder: Recorder,
    forms: StoredNumber,
    { pass, examples: whole }: { readonly pass: Pass; readonly examples: number },
    { update, velocity }: { readonly update: GPUBuffer; readonly velocity: GPUBuffer },
  ): void {
    if (!this.#measures) return;
    if (this.#exact(pass)) {
      const examples = Math.min(pass.count, Math.max(FORM_EXAMPLES, Math.ceil(whole / 4)));
      const directions = [update, velocity];
      if (this.#inParts(pass)) {
        pass.curvatureInParts!(recorder, directions, forms, { examples, parts: FORM_PARTS });
      } else pass.curvatureAlong!(recorder, directions, forms, { examples });
      return;
    }
    const along = (buffer: GPUBuffer) => this.#model.layers.map(({ G }) => ({ ...G, buffer }));
    quadraticForms(recorder, pass, [along(update), along(velocity)], forms.buffer, forms.index);
  }

  /** Records how far the step goes, by the forms of the pass. */
  plan(recorder: Recorder, tail: ControlledTail, pass: Pass): void {
    const { rows, ...buffers } = tail;
    const layers = recorder.manager.table(LayerStep, [...rows]);
    const bindings = { ...buffers, layers, settings: this.#settings.buffer, state: this.state };
    recorder.dispatch(planKernels[this.#inParts(pass) ? "inParts" : "whole"], bindings, 1);
  }

  /** Records the reduction ratio where the damping's rule asks for it, after the weights have changed; the pass is over then. */
  measureRatio(recorder: Recorder): void {
    if (!this.#asksForRatio) return;
    this.#model.recordLoss!(recorder, { buffer: this.#after, index: 0 });
    this.judgeRatio(recorder);
  }

  /** Whether the damping's rule asks for the reduction ratio in the step under way. */
  get asksForRatio(): boolean {
    return this.#asksForRatio;
  }

  /** Records what adds the loss of a micro-batch that is loaded again to the loss after the step. */
  addLossAfter(recorder: Recorder, share: number, first: boolean): void {
    const part = recorder.scratch(2);
    this.#model.recordLoss!(recorder, { buffer: part, index: 0 });
    if (first) recorder.clear(this.#after);
    axpy(recorder, [{ alpha: share, X: pair(part), Y: pair(this.#after) }]);
  }

  /** Records the reduction ratio, the loss after the step known. */
  judgeRatio(recorder: Recorder): void {
    const bindings = { settings: this.#settings.buffer, after: this.#after, state: this.state };
    recorder.dispatch(ratioKernel, bindings, 1);
  }

  /** What the bytes of `readBack` say; numbers of `set` were set. */
  report(bytes: ArrayBuffer, set?: Partial<ControlNumbers>): ControlReport {
    return controlReport(bytes, set);
  }

  /** The forms come in parts, which `step_plan` adds up. */
  #inParts(pass: Pass): boolean {
    return this.#exact(pass) && pass.curvatureInParts !== undefined;
  }

  /** The form along directions is of the exact Gauss-Newton matrix. */
  #exact({ curvatureAlong }: Pass): boolean {
    return curvatureAlong !== undefined && this.#model.withoutTangent === undefined;
  }
}

function asksForRatio({ rule, number, firstStep }: ControlPlan): boolean {
  if (rule !== "levenbergMarquardt" || number < firstStep) return false;
  return (number - firstStep) % RATIO_EVERY === 0;
}
