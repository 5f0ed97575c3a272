// How far long work has come.
import { element, uniqueId } from "./dom.js";

export interface Progress {
  readonly element: HTMLElement;
  /** `text` says what is being done; it is read out, so change it at steps a listener can follow. */
  update(done: number, total: number, text?: string): void;
}

export function progress(options: { label: string }): Progress {
  const id = uniqueId("progress");
  const bar = element("progress", { id, max: 1, value: 0 });
  const text = element("output", { class: "progress-text", for: id });
  return {
    element: element("div", { class: "progress" }, element("label", { for: id }, options.label), bar, text),
    update(done, total, more) {
      bar.max = Math.max(1, total);
      bar.value = done;
      if (more !== undefined && more !== text.textContent) text.textContent = more;
    },
  };
}
