// The page's one engine: opened when first asked for, watched, and replaced after its device was lost.
import { createEngine, type DeviceLostError, type Engine } from "kfac-webgpu";
import { warn } from "typegpu";

// The page's policy forbids eval on purpose; what TypeGPU does instead of it is all the page wants.
warn.disable("fallback");

export class EngineHost {
  #opening: Promise<Engine> | undefined;
  #engine: Engine | undefined;
  readonly #onOpen: (engine: Engine) => void;
  readonly #onLost: (error: DeviceLostError) => void;
  readonly #onError: (error: GPUError) => void;

  constructor(events: {
    onOpen: (engine: Engine) => void;
    onLost: (error: DeviceLostError) => void;
    /** What nobody waits for: above all, memory that ran out in the middle of something. */
    onError: (error: GPUError) => void;
  }) {
    this.#onOpen = events.onOpen;
    this.#onLost = events.onLost;
    this.#onError = events.onError;
  }

  /** The current engine. A failed attempt is not remembered: the next call tries again. */
  engine(): Promise<Engine> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Lets a lost engine go and opens another. */
  async replace(): Promise<Engine> {
    this.#engine?.dispose();
    this.#engine = undefined;
    this.#opening = undefined;
    return this.engine();
  }

  async #open(): Promise<Engine> {
    try {
      const engine = await createEngine();
      this.#engine = engine;
      engine.lost.then((error) => {
        if (this.#engine === engine) this.#onLost(error);
      });
      engine.device.addEventListener("uncapturederror", ({ error }) => this.#onError(error));
      this.#onOpen(engine);
      return engine;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }
}
