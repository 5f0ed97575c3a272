// K-FAC, Adam and SGD on the same batches from the same weights, in turns of a few steps.
import type { Engine, GpuDataset, LayerStatus } from "kfac-webgpu";
import { BatchStream, type Examples } from "../../assets/batches.js";
import type { Digits } from "../../assets/digits.js";
import { examplesOf } from "../../assets/load.js";
import { Contestant, type KfacRecord, type Snapshot } from "./contestant.js";
import { RaceLog } from "./log.js";
import { Pace } from "./pace.js";
import { KINDS, type Kind, type LiveSettings, MEASURE_EVERY, type RacePlan, SAMPLE } from "./settings.js";

/** The whole race in main memory. */
interface Checkpoint {
  step: number;
  snapshots: Record<Kind, Snapshot>;
}

/** The digits on an engine's GPU. */
interface RaceData {
  stream: BatchStream;
  train: GpuDataset;
  test: GpuDataset;
}

/** Milliseconds of running between two checkpoints. */
const CHECKPOINT_EVERY = 2000;

/**
 * The race without its page. Calls must not overlap: await one before the next. An engine that is lost makes them reject;
 * `moveTo` then goes on from the last checkpoint on another.
 */
export class Race {
  readonly plan: RacePlan;
  readonly log = new RaceLog();
  readonly train: Examples;
  readonly test: Examples;
  readonly #classes: number;
  readonly #pace = new Pace();
  #engine: Engine;
  #data: RaceData;
  #settings: LiveSettings;
  /** What the contestants were made or last adjusted with. */
  #applied: LiveSettings;
  #contestants: readonly Contestant[] = [];
  #last: KfacRecord | undefined;
  #trouble: KfacRecord | undefined;
  #checkpoint: Checkpoint | undefined;
  #checkpointAt = 0;

  constructor(engine: Engine, digits: Digits, plan: RacePlan, settings: LiveSettings) {
    this.plan = plan;
    this.train = examplesOf(digits.train, digits, plan.shrink);
    this.test = examplesOf(digits.test, digits, plan.shrink);
    this.#classes = digits.classes;
    this.#engine = engine;
    this.#data = this.#upload();
    this.#settings = settings;
    this.#applied = settings;
    this.#contestants = this.#makeContestants();
  }

  get engine(): Engine {
    return this.#engine;
  }

  /** Steps that every optimiser has taken. */
  get step(): number {
    return Math.min(...this.#contestants.map(({ steps }) => steps));
  }

  get stepsPerEpoch(): number {
    return this.#data.stream.stepsPerEpoch;
  }

  /** How K-FAC's factors stood at the last step. */
  get layers(): readonly LayerStatus[] {
    return this.#last?.layers ?? [];
  }

  /** K-FAC's last record. */
  get last(): KfacRecord | undefined {
    return this.#last;
  }

  /** K-FAC's last record of a batch that was left out or a step that was taken back. */
  get trouble(): KfacRecord | undefined {
    return this.#trouble;
  }

  get settings(): LiveSettings {
    return this.#settings;
  }

  /** Counts from the next advance on. */
  set settings(settings: LiveSettings) {
    this.#settings = settings;
  }

  contestant(kind: Kind): Contestant {
    return this.#contestants[KINDS.indexOf(kind)]!;
  }

  /** Compiles every shader on networks that are thrown away, so that nobody's clock pays for it; measures step 0. */
  async prepare(signal: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void> {
    const throwaway = this.#makeContestants();
    try {
      for (const [done, contestant] of throwaway.entries()) {
        onProgress?.(done, KINDS.length);
        await contestant.turn(2, (step) => this.#data.stream.batch(step));
        await contestant.network.evaluate(this.#data.test.range(0, 10));
        signal.throwIfAborted();
      }
    } finally {
      for (const contestant of throwaway) contestant.dispose();
    }
    onProgress?.(KINDS.length, KINDS.length);
    if (!this.log.last("sgd")) await this.#measure();
    await this.checkpoint();
  }

  /** One turn of each optimiser, never past `limit` steps; true when losses were measured at its end. */
  async advance(limit = Number.POSITIVE_INFINITY): Promise<boolean> {
    await this.#adjust();
    const { step } = this;
    const next = (Math.floor(step / MEASURE_EVERY) + 1) * MEASURE_EVERY;
    const target = Math.min(step + this.#pace.steps, next, limit);
    let longest = 0;
    for (const contestant of this.#contestants) {
      // After a failure in between, some may be ahead.
      const count = target - contestant.steps;
      if (count <= 0) continue;
      const { milliseconds, records } = await contestant.turn(count, (index) =>
        this.#data.stream.batch(index),
      );
      longest = Math.max(longest, milliseconds);
      this.#last = records.at(-1) ?? this.#last;
      this.#trouble = records.filter(({ verdict }) => verdict !== "taken").at(-1) ?? this.#trouble;
    }
    this.#pace.took(longest);
    const measured = this.step === next;
    if (measured) await this.#measure();
    if (measured && performance.now() - this.#checkpointAt > CHECKPOINT_EVERY) await this.checkpoint();
    return measured;
  }

  /** Copies everything that it takes to go on to main memory. */
  async checkpoint(): Promise<void> {
    const { step } = this;
    const [kfac, adam, sgd] = await Promise.all(this.#contestants.map((one) => one.snapshot()));
    this.#checkpoint = { step, snapshots: { kfac: kfac!, adam: adam!, sgd: sgd! } };
    this.#checkpointAt = performance.now();
  }

  /** Goes on from the last checkpoint (or from the start) on another engine. */
  moveTo(engine: Engine): void {
    this.#release();
    this.#engine = engine;
    this.#data = this.#upload();
    this.#contestants = this.#makeContestants();
    this.#applied = this.#settings;
    const { step, snapshots } = this.#checkpoint ?? { step: -1, snapshots: undefined };
    if (snapshots) for (const contestant of this.#contestants) contestant.restore(snapshots[contestant.kind]);
    this.log.truncate(step);
  }

  /** Probabilities of the classes by one of the networks, for one image as it takes them. */
  async classify(kind: Kind, image: Float32Array): Promise<Float32Array> {
    return softmax(await this.contestant(kind).network.predict(image, 1));
  }

  dispose(): void {
    this.#release();
  }

  #release(): void {
    for (const contestant of this.#contestants) contestant.dispose();
    this.#data.train.dispose();
    this.#data.test.dispose();
  }

  #upload(): RaceData {
    const [train, test] = [this.train, this.test].map(({ count, inputs, labels }) =>
      this.#engine.dataset({ count, inputs, targets: labels, classes: this.#classes }),
    ) as [GpuDataset, GpuDataset];
    return { train, test, stream: new BatchStream(train, this.plan.batchSize, this.plan.seed) };
  }

  #makeContestants(): readonly Contestant[] {
    const capacity = Math.max(this.plan.batchSize, SAMPLE);
    const sizes = { features: this.train.features, classes: this.#classes, capacity };
    return KINDS.map((kind) => new Contestant(this.#engine, kind, sizes, this.plan, this.#settings));
  }

  async #adjust(): Promise<void> {
    const [from, to] = [this.#applied, this.#settings];
    if (from === to) return;
    const rebuild = from.inverseEvery !== to.inverseEvery || from.fisher !== to.fisher;
    for (const contestant of this.#contestants) await contestant.adjust(to, rebuild);
    this.#applied = to;
  }

  async #measure(): Promise<void> {
    const { train, test } = this.#data;
    for (const { kind, network, steps, seconds } of this.#contestants) {
      const { loss } = await network.evaluate(train.range(0, SAMPLE));
      const { accuracy } = await network.evaluate(test.all);
      this.log.add(kind, { step: steps, seconds, loss, accuracy });
    }
  }
}

export function softmax(outputs: Float32Array): Float32Array {
  const largest = Math.max(...outputs);
  const powers = outputs.map((z) => Math.exp(z - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
