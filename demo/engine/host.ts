// The page's one engine: opened when first asked for, watched, and replaced after its device was lost.
import { createEngine, type DeviceLostError, type Engine } from "kfac-webgpu";

export class EngineHost {
  #opening: Promise<Engine> | undefined;
  #engine: Engine | undefined;
  readonly #onOpen: (engine: Engine) => void;
  readonly #onLost: (error: DeviceLostError) => void;

  constructor(events: { onOpen: (engine: Engine) => void; onLost: (error: DeviceLostError) => void }) {
    this.#onOpen = events.onOpen;
    this.#onLost = events.onLost;
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
      this.#onOpen(engine);
      return engine;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }
}
