// What went wrong, and what to do.
import { element } from "./dom.js";

export interface PanelAction {
  label: string;
  onClick: () => void;
}

/** A panel that a screen reader announces at once. */
export function errorPanel(options: {
  title: string;
  what: string;
  todo?: readonly string[];
  actions?: readonly PanelAction[];
  /** The error's own words. */
  detail?: string;
}): HTMLElement {
  const { title, what, todo = [], actions = [], detail } = options;
  return element(
    "div",
    { class: "panel panel-error", role: "alert" },
    element("h2", {}, title),
    element("p", {}, what),
    todo.length > 0 && element("ul", {}, ...todo.map((line) => element("li", {}, line))),
    actions.length > 0 &&
      element(
        "p",
        { class: "buttons" },
        ...actions.map(({ label, onClick }) =>
          element("button", { type: "button", class: "primary", onclick: onClick }, label),
        ),
      ),
    detail &&
      element("details", {}, element("summary", {}, "The error's own words"), element("pre", {}, detail)),
  );
}
