// Start, pause, reset: the loop round a race. Knows no page but the frames it waits for.
import type { Engine } from "kfac-webgpu";
import type { Digits } from "../../assets/digits.js";
import { Race } from "./race.js";
import type { LiveSettings, RacePlan } from "./settings.js";

export type Phase = "opening" | "preparing" | "ready" | "running" | "failed";

export interface ControllerOptions {
  engine(): Promise<Engine>;
  /** Resolves when the page has drawn a frame; rejects once `signal` is aborted. */
  frame(signal: AbortSignal): Promise<void>;
  digits: Digits;
  plan: RacePlan;
  settings: LiveSettings;
  signal: AbortSignal;
  /** Steps after which it pauses by itself, each time. */
  stint: number;
  onChange(change: { phase: Phase; measured?: boolean; prepared?: [done: number, total: number] }): void;
  onError(error: unknown): void;
}

/**
 * One race at a time, and one piece of work at a time: everything that touches the GPU goes through `#queue`, so that a
 * reset never meets a step half way.
 */
export class RaceController {
  readonly #options: ControllerOptions;
  #plan: RacePlan;
  #settings: LiveSettings;
  #race: Race | undefined;
  #phase: Phase = "opening";
  #wanted = false;
  /** Of the loop that is running; another loop's frames end when it is no longer this one. */
  #turn = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.#settings = options.settings;
  }

  get race(): Race | undefined {
    return this.#race;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get plan(): RacePlan {
    return this.#plan;
  }

  get settings(): LiveSettings {
    return this.#settings;
  }

  set settings(settings: LiveSettings) {
    this.#settings = settings;
    if (this.#race) this.#race.settings = settings;
  }

  /** Ready for the first step, or again from the start; running on if it ran. */
  async reset(plan: RacePlan = this.#plan): Promise<void> {
    this.#plan = plan;
    const turn = ++this.#turn;
    this.#wanted = false;
    await this.#do(async () => {
      if (turn !== this.#turn) return;
      this.#race?.dispose();
      this.#race = undefined;
      this.#tell("opening");
      const engine = await this.#options.engine();
      this.#options.signal.throwIfAborted();
      const race = new Race(engine, this.#options.digits, plan, this.#settings);
      this.#race = race;
      this.#tell("preparing");
      await race.prepare(this.#options.signal, (done, total) => {
        this.#options.onChange({ phase: "preparing", prepared: [done, total] });
      });
      this.#tell("ready", true);
    });
  }

  start(): void {
    if (this.#phase !== "ready" || !this.#race) return;
    this.#wanted = true;
    const turn = ++this.#turn;
    this.#tell("running");
    void this.#run(turn);
  }

  /** Nothing is in flight when it resolves, and a checkpoint of exactly this step is kept. */
  async pause(): Promise<void> {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#turn++;
    await this.#do(async () => {
      await this.#race?.checkpoint();
      this.#tell("ready", true);
    });
  }

  /** Goes on from the last checkpoint on another engine; running on if it ran. */
  async moveTo(engine: Engine): Promise<void> {
    const wanted = this.#wanted;
    const turn = ++this.#turn;
    if (!this.#race) return this.reset();
    await this.#do(async () => {
      if (turn !== this.#turn || !this.#race) return;
      this.#tell("preparing");
      this.#race.moveTo(engine);
      await this.#race.prepare(this.#options.signal);
      this.#tell("ready", true);
    });
    if (wanted && turn === this.#turn) this.start();
  }

  /** Work on the GPU between two turns of the race. Rejects as the work does; nobody else is told. */
  use<T>(work: (race: Race) => Promise<T>): Promise<T | undefined> {
    const result = this.#queue.then(() =>
      this.#race && this.#phase !== "failed" ? work(this.#race) : undefined,
    );
    this.#queue = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  /** The memory goes once what is in flight is done. */
  dispose(): void {
    this.#wanted = false;
    this.#turn++;
    void this.#queue.then(() => this.#race?.dispose());
  }

  async #run(turn: number): Promise<void> {
    const { signal, stint, frame } = this.#options;
    const limit = (Math.floor((this.#race?.step ?? 0) / stint) + 1) * stint;
    while (turn === this.#turn && !signal.aborted) {
      await this.#do(async () => {
        if (turn !== this.#turn || !this.#race) return;
        const measured = await this.#race.advance(limit);
        if (turn === this.#turn) this.#tell("running", measured);
      });
      if (turn !== this.#turn || this.#phase !== "running") return;
      if (this.#race && this.#race.step >= limit) return this.pause();
      await frame(signal).catch(() => {});
    }
  }

  #tell(phase: Phase, measured?: boolean): void {
    this.#phase = phase;
    this.#options.onChange({ phase, measured });
  }

  /** Queues work; what fails is told once and stops the loop. */
  #do(work: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(work).catch((error) => {
      if (this.#options.signal.aborted) return;
      this.#tell("failed");
      this.#options.onError(error);
    });
    return this.#queue;
  }
}
