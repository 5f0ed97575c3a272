import { FUNCTION, LIST, must, objectLike } from "../arguments.js";
import { ArgumentError, DeviceLostError } from "../errors.js";
import { type Model, type Turns, turnsOf } from "../model/index.js";
import type { Kernel, PipelineManager } from "../pipeline/index.js";
import { kernelKey } from "../pipeline/kernel.js";
import { MANAGER } from "../pipeline/rules.js";
import { unshared } from "../pipeline/unshared.js";
import { Accumulation } from "./accumulation.js";
import { SWAP_KERNELS, WeightAverage } from "./average.js";
import { bufferOf, checkState, numbersOf, type OptimizerState } from "./checkpoint.js";
import { StepCommands } from "./commands.js";
import {
  type Direction,
  type DirectionContext,
  type DirectionKind,
  type DirectionReport,
  requireKind,
  type StepPlan,
  type WithStepOptions,
} from "./direction.js";
import { OptimizerMemory } from "./memory.js";
import { copyMicroBatches, type MicroBatches, microBatchesOf, type StepBatch } from "./micro-batches.js";
import { STEP_OPTIONS } from "./options.js";
import { MicroBatchPasses, submitted } from "./passes.js";
import type { StateTensor } from "./ranges.js";
import type { StepRecord } from "./record.js";
import { StepRecordings } from "./recordings.js";
import { changeOptions, resolveOptions, settingsAt } from "./resolve.js";
import type { Schedule } from "./schedules.js";
import type { ChangesOf, OptionSchema, OptionsOf, ResolvedOptions, SettingsOf } from "./schema.js";
import { requireSeam, type Seam, seamTensors } from "./seam.js";
import { StepTail } from "./tail.js";

/** All options of the optimisers that a kind of direction makes. */
export type SchemaOf<K extends DirectionKind> = WithStepOptions<K["options"]>;

/** What the constructor of such an optimiser takes. */
export type OptimizerOptions<K extends DirectionKind = DirectionKind> = OptionsOf<SchemaOf<K>>;

/** The value of an option at one step. */
export type SettingOf<K extends DirectionKind, N extends keyof SchemaOf<K>> = SettingsOf<SchemaOf<K>>[N];

/** The record of one step, with what the direction adds. */
export type RecordOf<K extends DirectionKind> = StepRecord & Omit<ReportOf<DirectionOf<K>>, "status">;

type DirectionOf<K extends DirectionKind> = ReturnType<K["create"]>;
type ReportOf<D> = D extends { decode(bytes: readonly ArrayBuffer[], plan: never): infer R }
  ? R
  : DirectionReport;

const MODEL = objectLike("a network, or another Model", "load", "recordPass");

/** A step as it was asked for. */
interface Order {
  readonly batch: MicroBatches;
  readonly options: ResolvedOptions<OptionSchema>;
  readonly seam: Seam | undefined;
}

/**
 * Trains a model in place on the GPU: a direction U made of the gradient G, and a tail that is the same for all. One step is
 *
 *     pass over the batch → seam → G ← G + ωW → direction U → norm clip ν → V ← μV + νU → W ← W − ηV
 *
 * recorded and submitted once; the CPU waits for nothing, and the record comes back some steps later. `engine.kfac`,
 * `newton`, `sgd` and `adam` make optimisers with the directions of this package; one of your own:
 *
 *     const direction = defineDirection({ name: "mine", options: {}, create: ({ model, memory }) => ({ record… }) });
 *     const optimizer = new Optimizer(engine.manager, net, direction, { learningRate: 0.01 });
 *
 * Calls act in the order in which they are made. Where a step has to wait, for its kernels or at a seam, so does what is asked
 * for after it; leave the model alone until then.
 */
export class Optimizer<K extends DirectionKind = DirectionKind> implements Disposable {
  readonly name: K["name"];
  protected readonly direction: DirectionOf<K>;
  readonly #direction: Direction;
  readonly #manager: PipelineManager;
  readonly #model: Model;
  readonly #memory: OptimizerMemory;
  readonly #commands: StepCommands;
  readonly #recordings: StepRecordings;
  readonly #passes: MicroBatchPasses;
  readonly #average: WeightAverage | undefined;
  readonly #schema: OptionSchema;
  readonly #tensors: Readonly<Record<string, StateTensor>>;
  readonly #turns: Turns;
  /** Kernels known to be compiled, and the kinds of step all of whose kernels are. */
  readonly #compiled = new Set<string>();
  readonly #seen = new Set<string>();
  #options: ResolvedOptions<OptionSchema>;
  #seam: Seam | undefined;
  #steps = 0;
  #disposed = false;
  /** The mean is in the weights' place. */
  #swapped = false;

  /**
   * @throws ArgumentError for what is no model and for a bad option, LimitError when the device cannot hold what it needs, UnsupportedLayerError when
   *   the direction has no way to treat a layer; then no memory is kept.
   */
  constructor(manager: PipelineManager, model: Model, kind: K, options: OptimizerOptions<K>) {
    const { name, scope = "network", velocity = "velocity" } = requireKind("Optimizer", kind);
    must(name, "manager", manager, MANAGER);
    must(name, "model", model, MODEL);
    must(name, "model.layers", model.layers, LIST);
    requireDevice(name, manager, model);
    this.name = name;
    this.#manager = manager;
    this.#turns = turnsOf(model);
    this.#model = model;
    this.#schema = { ...STEP_OPTIONS, ...kind.options };
    this.#options = resolveOptions(name, this.#schema, options);
    const { settings } = this.#plan(1, 1);
    if (model.layers.length === 0) throw new ArgumentError(name, "model", "must have a layer to train");
    const memory = new OptimizerMemory(manager);
    this.#memory = memory;
    try {
      const momentum = "momentum" in this.#schema;
      const tail = new StepTail(manager, model, memory, { scope, momentum });
      const context: DirectionContext = { manager, model, memory, options: this.#options, settings };
      this.#direction = kind.create(context as Parameters<K["create"]>[0]);
      const accumulation = new Accumulation(model, memory);
      const { averageDecay } = settings as { averageDecay?: number };
      const verdict = this.#direction.control?.state.verdict;
      this.#average = averageDecay ? new WeightAverage(model, memory, verdict) : undefined;
      const parts = { model, direction: this.#direction, tail, accumulation, scope, average: this.#average };
      this.#commands = new StepCommands(parts);
      this.#passes = new MicroBatchPasses(manager, model, this.#commands);
      this.#recordings = new StepRecordings(manager, this.#commands);
      const V = tail.velocity;
      const mean = this.#average?.mean;
      this.#tensors = {
        ...this.#direction.tensors,
        ...(V && { [velocity]: V }),
        ...(mean && { meanWeights: mean }),
      };
    } catch (error) {
      memory.dispose();
      throw error;
    }
    this.direction = this.#direction as DirectionOf<K>;
  }

  /** What it trains. */
  get model(): Model {
    return this.#model;
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.#steps;
  }

  /** All options as they are now, defaults filled in. */
  get options(): ResolvedOptions<SchemaOf<K>> {
    return this.#options as ResolvedOptions<SchemaOf<K>>;
  }

  /** η of the next step. */
  get learningRate(): SettingOf<K, "learningRate"> {
    return this.setting("learningRate");
  }

  /** A number, a schedule of it, or a word of the option; counts from the next step on. @throws ArgumentError */
  set learningRate(value: SettingOf<K, "learningRate"> | Schedule) {
    this.changeUnchecked({ learningRate: value });
  }

  /** Why `step` takes no list of micro-batches, for people; undefined where it does. */
  get withoutMicroBatches(): string | undefined {
    const { withoutMicroBatches, fisher, statistics, addStatistics } = this.#direction;
    if (withoutMicroBatches !== undefined || addStatistics || !(fisher || statistics))
      return withoutMicroBatches;
    return `${this.name} takes its curvature from one pass`;
  }

  /** What combines gradients and statistics with those of other processes; counts from the next step on. */
  get seam(): Seam | undefined {
    return this.#seam;
  }

  /** @throws ArgumentError when it is no seam */
  set seam(seam: Seam | undefined) {
    this.#seam = requireSeam(this.name, seam);
  }

  /** Whether it keeps a running mean of the weights: `averageDecay` is not 0. */
  get averages(): boolean {
    return this.#average !== undefined;
  }

  /**
   * Does something with the running mean of the weights in the weights' place: to evaluate, to predict, to save. After that the
   * weights are back, bit for bit, whether it fails or not. It begins once all steps asked for before are sent. Until it is
   * over, steps and the optimiser's own state are refused, and weights that are set meanwhile do not stay. Before the first step
   * the weights are their own mean.
   *
   *     const { loss } = await optimizer.withAverage(() => net.evaluate(test));
   *
   * @throws (by rejection) ArgumentError for what is no function, where `averageDecay` is 0, while another call's `use` runs, or once this
   *   optimiser is disposed of, DeviceLostError, and what `use` throws
   */
  async withAverage<T>(use: () => T | Promise<T>): Promise<T> {
    this.#assertUsable("withAverage");
    this.#refuseSwapped("withAverage");
    must(`${this.name}.withAverage`, "use", use, FUNCTION);
    if (!this.#average) {
      throw new ArgumentError(
        `${this.name}.withAverage`,
        "averageDecay",
        "must be above 0, got 0: there is no mean",
      );
    }
    return this.#turns.open(async () => {
      this.#assertUsable("withAverage");
      await this.#manager.prepare(SWAP_KERNELS);
      this.#assertUsable("withAverage");
      this.#swap();
      try {
        return await use();
      } finally {
        if (this.#swapped) this.#swap();
      }
    });
  }

  /**
   * Changes options that may change in mid-run; counts from the next step on.
   *
   * @throws ArgumentError for a bad value or an option that is fixed; then nothing changes.
   */
  change(changes: ChangesOf<SchemaOf<K>>): void {
    this.changeUnchecked(changes);
  }

  /**
   * Takes one training step and returns without waiting for the GPU; the promise resolves when the record has come back, and
   * need not be awaited. A step whose kernels are not compiled yet, such as the first, is sent once they are. Bad batches
   * are refused before anything is sent.
   *
   * A list of micro-batches, of any sizes that the model takes, is one step on all their examples: each has a pass of its own,
   * and what the passes give is added up before anything is decided or changed. Where one of them is refused, nothing is changed.
   *
   * @throws (by rejection) ArgumentError, ShapeError or DataError for a bad batch, ArgumentError for a list where
   *   `withoutMicroBatches` says why not, for a schedule's bad value, or once this optimiser is disposed of, LimitError where
   *   the sums over micro-batches do not fit, DeviceLostError
   */
  step(batch: StepBatch): Promise<RecordOf<K>> {
    let order: Order;
    let missing: readonly Kernel[] | undefined;
    try {
      this.#refuseSwapped("step");
      const parts = microBatchesOf(this.name, batch, this.withoutMicroBatches);
      order = { batch: parts, options: this.#options, seam: this.#seam };
      if (this.#turns.idle) {
        const plan = this.#begin(order);
        missing = this.#missingFor(plan, order);
        if (missing.length === 0 && !order.seam) return unminded(this.#send(plan, order));
      }
    } catch (error) {
      return Promise.reject(error);
    }
    // It has to wait; what it was given must not change meanwhile.
    const own = { ...order, batch: copyMicroBatches(order.batch) };
    const sent = this.#turns.take(() => this.#takeTurn(own, missing));
    const outcome = sent.then(({ record }) => {
      unminded(outcome);
      return record;
    });
    // Whoever disposes of an optimiser or an engine, or loses a device, knows that what waits is refused.
    sent.catch((error) => {
      if (this.#disposed || error instanceof DeviceLostError) unminded(outcome);
    });
    return outcome;
  }

  /** Reads everything a run needs to continue bitwise, besides the model's weights. @throws ArgumentError, DeviceLostError */
  async state(): Promise<OptimizerState> {
    const entries = Object.entries(this.#tensors);
    this.#refuseSwapped("state");
    const read = () => {
      this.#assertUsable("state");
      const whole = entries.map(([, tensor]) => ({ buffer: bufferOf(tensor), bytes: bufferOf(tensor).size }));
      const bytes = submitted(this.#manager, (recorder) => recorder.readRanges(whole));
      return { bytes, step: this.#steps };
    };
    const { bytes, step } = this.#turns.idle ? read() : await this.#turns.take(read);
    const contents = await bytes;
    const state: OptimizerState = { step: Uint32Array.of(step) };
    entries.forEach(([name, tensor], index) => {
      state[name] = numbersOf(tensor, contents[index]!);
    });
    return state;
  }

  /**
   * Puts such a state back.
   *
   * @throws CheckpointError when it belongs to another optimiser or network, ArgumentError once this one is disposed of; then
   *   nothing changes.
   */
  restore(state: OptimizerState): void {
    this.#assertUsable("restore");
    this.#refuseSwapped("restore");
    const step = checkState(this.name, this.#tensors, state);
    const write = (own: OptimizerState) => {
      this.#assertUsable("restore");
      for (const [name, tensor] of Object.entries(this.#tensors)) {
        this.#manager.device.queue.writeBuffer(bufferOf(tensor), 0, unshared(own[name]!));
      }
      this.#steps = step;
    };
    if (this.#turns.idle) {
      write(state);
      return;
    }
    const own = Object.fromEntries(Object.entries(state).map(([name, data]) => [name, data.slice()]));
    // Only a lost device or disposal can fail it, and the next step says so.
    this.#turns.take(() => write(own)).catch(() => {});
  }

  /** Frees its memory. Steps that have not been sent yet are refused. */
  dispose(): void {
    if (this.#disposed) return;
    if (this.#swapped) this.#swap();
    this.#disposed = true;
    this.#recordings.dispose();
    this.#direction.dispose?.();
    this.#memory.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** One of the settings of the next step. */
  protected setting<N extends keyof SchemaOf<K> & string>(name: N): SettingOf<K, N> {
    const { settings } = this.#plan(this.#steps + 1, 1);
    return (settings as Readonly<Record<string, unknown>>)[name] as SettingOf<K, N>;
  }

  /** `change`, for names that a subclass knows to be right. */
  protected changeUnchecked(changes: object): void {
    this.#options = changeOptions(this.name, this.#schema, this.#options, changes);
  }

  /** @throws ArgumentError when a schedule's value is not allowed */
  #plan(number: number, examples: number, options = this.#options): StepPlan {
    return { number, examples, settings: settingsAt(this.name, this.#schema, options, number) };
  }

  #assertUsable(operation: string): void {
    this.#manager.handle.assertUsable();
    if (!this.#disposed) return;
    throw new ArgumentError(`${this.name}.${operation}`, "optimizer", "is disposed of; make another one");
  }

  #refuseSwapped(operation: string): void {
    if (!this.#swapped) return;
    throw new ArgumentError(
      `${this.name}.${operation}`,
      "optimizer",
      "is in withAverage; wait for that to end",
    );
  }

  /** Puts the mean into the weights' place, or them back. */
  #swap(): void {
    this.#swapped = !this.#swapped;
    // Before the first step that changes weights there is no mean yet.
    const { firstStep = 1 } = this.#direction;
    if (this.#steps >= firstStep) submitted(this.#manager, (recorder) => this.#average!.swap(recorder));
  }

  /** Checks and loads a batch; micro-batches when their turn comes. */
  #begin({ batch: { examples, parts }, options }: Order): StepPlan {
    this.#assertUsable("step");
    const plan = this.#plan(this.#steps + 1, examples, options);
    if (parts.length === 1) this.#model.load(parts[0]!.batch);
    return plan;
  }

  /** Sends a step that had to wait. */
  async #takeTurn(
    order: Order,
    known: readonly Kernel[] | undefined,
  ): Promise<{ record: Promise<RecordOf<K>> }> {
    let plan = this.#begin(order);
    const missing = known ?? this.#missingFor(plan, order);
    if (missing.length > 0) {
      await this.#prepare(missing);
      plan = this.#begin(order);
    }
    return { record: order.seam ? (await this.#sendApart(plan, order)).record : this.#send(plan, order) };
  }

  /** The kernels of a step, its batch loaded, that are still to be compiled. */
  #missingFor(plan: StepPlan, { batch, options }: Order): readonly Kernel[] {
    // The first step has all that any step has, and this one may have more.
    const { firstStep = 1 } = this.#direction;
    const first = this.#plan(firstStep, batch.examples, options);
    const fisher = this.#direction.fisher?.(first);
    const kind = `${batch.parts.map((part) => part.batch.count)} ${fisher?.kind} ${fisher?.samples}`;
    if (this.#seen.has(kind)) return [];
    const plans = plan.number === firstStep ? [plan] : [first, plan];
    const kernels = plans.flatMap((one) =>
      batch.parts.length > 1
        ? this.#passes.kernels(one, batch)
        : this.#manager.collect((recorder) => this.#commands.whole(recorder, one)),
    );
    this.#seen.add(kind);
    return kernels.filter((kernel) => !this.#compiled.has(kernelKey(kernel)));
  }

  async #prepare(kernels: readonly Kernel[]): Promise<void> {
    try {
      await this.#manager.prepare(kernels);
    } catch (error) {
      this.#seen.clear();
      throw error;
    }
    for (const kernel of kernels) this.#compiled.add(kernelKey(kernel));
  }

  /** Submits a step as a whole. */
  #send(plan: StepPlan, { batch }: Order): Promise<RecordOf<K>> {
    const commands = this.#commands;
    const summed = batch.parts.length > 1 ? this.#passes.send(plan, batch) : undefined;
    const record = submitted(this.#manager, (recorder) => {
      if (summed) {
        commands.statistics(recorder, summed);
        commands.update(recorder, summed);
      } else {
        this.#recordings.step(recorder, plan);
      }
      return commands.record(recorder, plan) as Promise<RecordOf<K>>;
    });
    if (summed) this.#passes.sendAfter(batch);
    this.#steps = plan.number;
    return record;
  }

  /**
   * Submits a step in parts, with the seam between them: two, or three where the verdict, which is on the loss of all processes,
   * comes before the statistics.
   */
  async #sendApart(plan: StepPlan, { batch, seam = {} }: Order): Promise<{ record: Promise<RecordOf<K>> }> {
    const commands = this.#commands;
    const { control, means } = this.#direction;
    control?.requireShared(plan);
    const summed = batch.parts.length > 1 ? this.#passes.send(plan, batch) : undefined;
    const step = submitted(this.#manager, (recorder) => {
      const own = summed ?? commands.pass(recorder, plan);
      if (!control) commands.statistics(recorder, own);
      return own;
    });
    const { gradients, length, statistics } = this.#model;
    await seam.gradients?.(
      seamTensors({
        gradients: { buffer: gradients, bytes: 4 * length },
        statistics: { buffer: statistics, bytes: 8 },
      }),
    );
    if (control) {
      this.#assertUsable("step");
      submitted(this.#manager, (recorder) => commands.statistics(recorder, step));
    }
    if (means && step.pass.fisher) await seam.statistics?.(seamTensors(means));
    this.#assertUsable("step");
    const record = submitted(this.#manager, (recorder) => {
      commands.update(recorder, step);
      return commands.record(recorder, plan) as Promise<RecordOf<K>>;
    });
    this.#steps = plan.number;
    return { record };
  }
}

/** @throws ArgumentError for a model whose memory is another device's */
function requireDevice(name: string, manager: PipelineManager, { manager: other }: Model): void {
  if (other === undefined || other.device === manager.device) return;
  const message = "must be on the optimiser's own device; make it with the engine that made the model";
  throw new ArgumentError(name, "model", message);
}

/** A record that nobody waits for may fail to arrive (the engine was disposed of) without ending the process. */
function unminded<T>(record: Promise<T>): Promise<T> {
  record.catch(() => {});
  return record;
}
