import { must, OBJECT, objectLike, TEXT } from "../arguments.js";
import type { FisherOptions, Model, Pass } from "../model/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import type { ControlPlan, StepControl } from "./control/control.js";
import type { OptimizerMemory } from "./memory.js";
import type { STEP_OPTIONS } from "./options.js";
import type { BufferRange, StateTensor } from "./ranges.js";
import type { OptionSchema, ResolvedOptions, SettingsOf } from "./schema.js";

/** A step before anything of it is recorded. */
export interface StepPlan<S = OptionSchema> {
  /** 1 for the first. */
  readonly number: number;
  /** Examples of its batch. */
  readonly examples: number;
  /** The options as this step takes them: schedules have become numbers. */
  readonly settings: SettingsOf<S>;
}

/** What a step works with. */
export interface Step<S = OptionSchema> extends StepPlan<S> {
  /** Of a batch in micro-batches that of the largest, which is the last. G, loss and accuracy are those of the whole batch. */
  readonly pass: Pass;
  /** The batch came in micro-batches: its statistics are the sums of `addStatistics`. */
  readonly summed: boolean;
  /**
   * u32 a layer, of which bit 4 is set where G is not finite; with `"network"` all layers share the first. What a direction
   * keeps from step to step should not take in such a G.
   */
  readonly flags: GPUBuffer;
}

/** Where the update matrices U of a step lie. */
export interface Update {
  /** U of every layer, laid out like G in `model.gradients`. */
  readonly buffer: GPUBuffer;
  /** U is finite wherever G is, so that nothing has to look; defaults to false. */
  readonly finite?: boolean;
  /** Layers that may not step yet, as the GPU knows: none by default. */
  readonly ready?: Readiness;
}

/** A layer may step where all its words of `state` (u32) are 1. */
export interface Readiness {
  readonly state: GPUBuffer;
  /** For each layer, which words. */
  readonly words: readonly { readonly first: number; readonly count: number }[];
}

/** What a direction tells of a step, added to the record. `status` says what is the matter, if anything is. */
export interface DirectionReport {
  readonly status?: string;
}

/**
 * How an optimiser turns gradients G into updates U. Everything else, from the pass over the batch to the change of the
 * weights, is the same for all and belongs to `Optimizer`. All members may be absent; then U is G.
 */
export interface Direction<S = OptionSchema, R extends DirectionReport = DirectionReport> {
  /** The columns of Bᵢ that the pass of a step should propagate; none by default. */
  fisher?(plan: StepPlan<S>): FisherOptions | undefined;
  /**
   * Number of the first step that changes weights, 1 by default, whose `record` must dispatch all that any step does. Steps before
   * it take in statistics, and their `record` must give a U that leaves the weights alone.
   */
  readonly firstStep?: number;
  /**
   * Records what is kept of the pass's curvature, in steps with `fisher`. It comes before the seam, so that `means` can be
   * averaged over processes.
   */
  statistics?(recorder: Recorder, step: Step<S>): void;
  /**
   * Records what adds up a micro-batch's statistics, its share of the whole batch's examples given, in memory apart: into empty
   * sums with the first one. `statistics` comes after the last. Where it is absent, a direction with `fisher` or `statistics` is
   * given whole batches only.
   */
  addStatistics?(recorder: Recorder, pass: Pass, share: number, first: boolean): void;
  /** Why batches must come whole, for people; undefined where micro-batches will do. */
  readonly withoutMicroBatches?: string | undefined;
  /**
   * Records U from G, which has weight decay in it and whose finiteness `step.flags` tell. It may be asked for a step
   * that is not sent, to learn its kernels, and for `firstStep` with any batch size.
   */
  record?(recorder: Recorder, step: Step<S>): Update;
  /**
   * What the commands of a step follow from beside its pass, as a text: of steps with the same text the first alone is recorded
   * (`statistics`, `record`), and its commands are sent again for the others, with what `write` has written. Undefined, or
   * without this member, every step is recorded afresh.
   */
  recording?(plan: StepPlan<S>): string | undefined;
  /** Puts a step's numbers into uniforms and the like, before each step is sent; `step.pass` is the one that was recorded. */
  write?(step: Step<S>): void;
  /**
   * Decides on the GPU whether a batch is taken and how far its step goes, in the place of learning rate and momentum. It needs a
   * velocity; `record` must give a buffer of its own, the same at every step.
   */
  readonly control?: {
    readonly state: StepControl;
    /** U of the step before, until `record` overwrites it. */
    readonly update: GPUBuffer;
    plan(step: Step<S>): ControlPlan;
    /** @throws ArgumentError when processes that share gradients would not all decide alike in such a step */
    requireShared(plan: StepPlan<S>): void;
  };
  /** What a checkpoint holds beside the velocity, by name. */
  readonly tensors?: Readonly<Record<string, StateTensor>>;
  /** What `statistics` averages, f32, for the seam. */
  readonly means?: Readonly<Record<string, BufferRange>>;
  /** What `decode` wants to see of the GPU after the step. */
  readonly readBack?: readonly BufferRange[];
  /** The bytes of `readBack`, in its order, as a part of the record of the step with this plan. */
  decode?(bytes: readonly ArrayBuffer[], plan: StepPlan<S>): R;
  /** Frees what is not in the memory that it was given. */
  dispose?(): void;
}

/** What a direction is made of. */
export interface DirectionContext<S = OptionSchema> {
  readonly manager: PipelineManager;
  readonly model: Model;
  /** Buffers that are freed with the optimiser. */
  readonly memory: OptimizerMemory;
  readonly options: ResolvedOptions<S>;
  /** What step 1 takes, schedules asked. */
  readonly settings: SettingsOf<S>;
}

/** The options of an optimiser with this schema: its own, and those of every step. */
export type WithStepOptions<S> = Omit<typeof STEP_OPTIONS, keyof S> & S;

/** A kind of direction: all that it takes to make optimisers of it. */
export interface DirectionKind<
  N extends string = string,
  S extends OptionSchema = OptionSchema,
  D extends Direction = Direction,
> {
  /** Of the optimiser: in messages and checkpoints. */
  readonly name: N;
  /** Its options beside `STEP_OPTIONS`; one of the same name takes the place of that. With `momentum`, V is kept. */
  readonly options: S;
  /**
   * What a number that is not finite in one layer's G or U does: `"network"`, the default, leaves all weights alone, `"layer"`
   * the weights of that layer.
   */
  readonly scope?: "network" | "layer";
  /** V's name in checkpoints; defaults to `"velocity"`. */
  readonly velocity?: string;
  create(context: DirectionContext<WithStepOptions<S>>): D;
}

const KIND = objectLike("a kind of direction, as defineDirection makes it", "create");

/** @throws ArgumentError for what is none */
export function requireKind<K extends DirectionKind>(operation: string, kind: K): K {
  must(operation, "kind", kind, KIND);
  must(operation, "kind.name", kind.name, TEXT);
  must(operation, "kind.options", kind.options, OBJECT);
  return kind;
}

/** Declares a kind of direction, with its types inferred. @throws ArgumentError for what is none */
export function defineDirection<
  const N extends string,
  S extends OptionSchema,
  D extends Direction<WithStepOptions<S>>,
>(kind: DirectionKind<N, S, D>): DirectionKind<N, S, D> {
  requireKind("defineDirection", kind as DirectionKind);
  return kind;
}
