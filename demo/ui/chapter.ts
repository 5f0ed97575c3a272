// What the shell gives a chapter, and what it wants back.
import type { Engine } from "kfac-webgpu";

export interface DemoContext {
  /**
   * The current engine; the first call opens it. Ask again before each piece of work rather than keeping it: after a lost
   * device there is another one. Rejects with the library's typed errors, which `fail` explains.
   */
  engine(): Promise<Engine>;
  /**
   * Called with the new engine once a lost one has been replaced: go on from the last checkpoint here. A chapter that
   * never calls this is simply mounted afresh.
   */
  onEngineReplaced(listener: (engine: Engine) => void): void;
  /** Aborted when the visitor leaves the chapter: stop work, end listeners. */
  readonly signal: AbortSignal;
  /** Whether the visitor asked for less motion; look at it when an animation is about to start. */
  readonly reducedMotion: boolean;
  /**
   * Shows an error in the page's panel, with what to do about it. Takes anything that was thrown. An abort is no error and
   * shows nothing; a lost device has its own panel with a button that resumes.
   */
  fail(error: unknown): void;
}

export interface MountedChapter {
  dispose(): void;
}

/**
 * A chapter's `index.ts` exports this. Build the DOM before the first `await`, so that the text is there without a GPU.
 * `root` is empty and starts with the chapter's heading, an `h2`.
 */
export type Mount = (root: HTMLElement, context: DemoContext) => Promise<MountedChapter>;
