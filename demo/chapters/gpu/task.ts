// A piece of long work with a button that starts it, one that stops it, and a bar.
import { button, buttonRow, type DemoContext, element, progress } from "../../ui/index.js";

export interface Task {
  readonly element: HTMLElement;
}

export interface TaskWork {
  signal: AbortSignal;
  onProgress(done: number, total: number, text: string): void;
}

/** `work` ends by resolving with what to say, or by throwing; a stop says so and is no failure. */
export function task(
  context: DemoContext,
  options: {
    start: string;
    label: string;
    controls?: readonly HTMLElement[];
    work(options: TaskWork): Promise<string>;
  },
): Task {
  let stopping: AbortController | undefined;
  const bar = progress({ label: options.label });
  const start = button({ label: options.start, primary: true, onClick: () => void run() });
  const cancel = button({ label: "Cancel", disabled: true, onClick: () => stopping?.abort() });
  const idle = (is: boolean) => {
    start.disabled = !is;
    cancel.disabled = is;
  };
  const run = async () => {
    const stop = new AbortController();
    stopping = stop;
    const signal = AbortSignal.any([stop.signal, context.signal]);
    idle(false);
    cancel.focus();
    let last = [0, 1] as [number, number];
    const onProgress = (done: number, total: number, text: string) => {
      last = [done, total];
      bar.update(done, total, text);
    };
    bar.update(0, 1, "starting");
    try {
      bar.update(1, 1, await options.work({ signal, onProgress }));
    } catch (error) {
      bar.update(...last, signal.aborted ? "cancelled" : "failed");
      if (!signal.aborted) context.fail(error);
    } finally {
      idle(true);
      if (document.activeElement === document.body) start.focus();
    }
  };
  return {
    element: element(
      "div",
      { class: "task" },
      ...(options.controls ?? []),
      buttonRow(start, cancel),
      bar.element,
    ),
  };
}
