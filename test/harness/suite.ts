/** Runs all kernel tests where there is no vitest, and reports every event as one plain object. */
import { files } from "#kernel-tests";
import { closeDevices, hung } from "./kernel-test.js";
import { enterFile, onAdapter, type RegisteredCase, registry, setDriver } from "./runner.registry.js";

export interface SuiteOptions {
  driver: string;
  /** Skip the first tests: after a crash the supervisor goes on behind the test that crashed. */
  from: number;
  /** Only files whose path contains one of these. */
  files: string[];
  /** Only tests whose name matches. */
  name?: string;
}

export type SuiteEvent =
  | { kind: "adapter"; name: string }
  | { kind: "start"; index: number; file: string; name: string; seconds: number }
  | {
      kind: "result";
      file: string;
      name: string;
      ok: boolean;
      skipped?: string;
      error?: string;
      milliseconds: number;
    }
  /** The host should be replaced, and the suite go on there. */
  | { kind: "restart"; from: number }
  | { kind: "end" };

type Report = (event: SuiteEvent) => void;

/** Errors that no test awaited; they fail the test that runs when they surface. */
const stray: unknown[] = [];

function watchStrayErrors(): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    stray.push(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    stray.push(event.error ?? event.message);
  });
}

export async function runSuite(options: SuiteOptions, report: Report): Promise<void> {
  watchStrayErrors();
  setDriver(options.driver);
  const adapters = new Set<string>();
  onAdapter((name) => {
    if (!adapters.has(name)) report({ kind: "adapter", name });
    adapters.add(name);
  });
  await importFiles(options, report);
  const pattern = new RegExp(options.name ?? "");
  const selected = registry.filter(({ name }) => pattern.test(name));
  for (let index = options.from; index < selected.length; index++) {
    await runCase(selected[index]!, index, report);
    if (hung) return report({ kind: "restart", from: index + 1 });
  }
  await closeDevices();
  report({ kind: "end" });
}

async function importFiles({ files: wanted, from }: SuiteOptions, report: Report): Promise<void> {
  for (const path of Object.keys(files).sort()) {
    const file = path.slice(1);
    if (wanted.length > 0 && !wanted.some((part) => file.includes(part))) continue;
    enterFile(file);
    try {
      await files[path]!();
    } catch (error) {
      const name = "(importing the file)";
      if (from === 0)
        report({ kind: "result", file, name, ok: false, error: describe(error), milliseconds: 0 });
    }
  }
}

async function runCase(testCase: RegisteredCase, index: number, report: Report): Promise<void> {
  const { file, name, seconds } = testCase;
  report({ kind: "start", index, file, name, seconds });
  const started = performance.now();
  const elapsed = () => Math.round(performance.now() - started);
  try {
    const { skipped } = await testCase.run();
    // The engine reports unhandled rejections between tasks.
    await new Promise((resolve) => setTimeout(resolve));
    if (stray.length > 0) throw stray.splice(0)[0];
    report({ kind: "result", file, name, ok: true, skipped, milliseconds: elapsed() });
  } catch (error) {
    report({ kind: "result", file, name, ok: false, error: describe(error), milliseconds: elapsed() });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? "";
  return stack.includes(error.message) ? stack : `${error.name}: ${error.message}\n${stack}`;
}
