/**
 * Where a kernel test runs. Resolved by an alias: `runner.vitest.ts` in Node, `runner.registry.ts` in a page and in
 * Deno. Nothing else in the harness knows which of them it is in.
 */
declare module "#runner" {
  /** A test ends early with this when the adapter lacks something it needs; runners count it as skipped, aloud. */
  export type Outcome = { skipped?: string };

  export interface Case {
    name: string;
    /** Time allowed for the test itself. */
    seconds: number;
    run(): Promise<Outcome>;
  }

  export function register(testCase: Case): void;
  /** The implementation of WebGPU under test. */
  export function gpu(): GPU | undefined;
  /** Called once with the adapter's own name, for the summary. */
  export function announceAdapter(name: string): void;
  /** "gpu", "lavapipe", "swiftshader", "chromium" or "deno". */
  export const driver: string;
}

/** The kernel tests, by their path from the project's root with a slash before it: written by `kernel-files.mjs`. */
declare module "#kernel-tests" {
  export const files: Record<string, () => Promise<unknown>>;
}

/** The files of all rooms that define kernels: what they export, and what is written in them. */
declare module "#kernel-sources" {
  export const modules: Record<string, Record<string, unknown>>;
  export const texts: Record<string, string>;
}
