// One number that matters, with its name.
import { element } from "./dom.js";

export interface StatTile {
  readonly element: HTMLElement;
  set(value: string, note?: string): void;
}

export function statTile(options: { label: string | Node; value?: string; note?: string }): StatTile {
  const value = element("span", { class: "stat-value" }, options.value ?? "–");
  const note = element("span", { class: "stat-note" }, options.note ?? "");
  return {
    element: element(
      "div",
      { class: "stat" },
      element("span", { class: "stat-label" }, options.label),
      value,
      note,
    ),
    set(text, more) {
      value.textContent = text;
      if (more !== undefined) note.textContent = more;
    },
  };
}

/** Tiles side by side. */
export function statRow(...tiles: readonly StatTile[]): HTMLElement {
  return element("div", { class: "stats" }, ...tiles.map((tile) => tile.element));
}
