// Formulas in plain HTML: `math("W − (BB')^{-1} G (AA')^{-1}")`.
import { element } from "./dom.js";

const TOKEN = /(?:tr|vec)(?=\()|[\^_]\{[^}]*\}|\p{L}\u0304?|'|[^\p{L}'^_]+|[\^_]/gu;

/**
 * Letters become variables (but for the operators tr and vec), `'` a prime, `^{…}` and `_{…}` raised and lowered text. `label` is what a screen reader says
 * instead, where the signs alone would not do.
 */
export function math(formula: string, label?: string): HTMLElement {
  const made = element("span", { class: "math", role: label ? "img" : undefined, "aria-label": label });
  made.append(...parts(formula));
  return made;
}

/** A formula on a line of its own. */
export function displayMath(formula: string, label?: string): HTMLElement {
  return element("p", { class: "display-math" }, math(formula, label));
}

function parts(formula: string): (Node | string)[] {
  return Array.from(formula.matchAll(TOKEN), ([token]) => {
    const script = /^([\^_])\{([^}]*)\}$/.exec(token);
    if (script) return element(script[1] === "^" ? "sup" : "sub", {}, ...parts(script[2] ?? ""));
    const text = token.replaceAll("'", "′").replaceAll("-", "−");
    return /^\p{L}\u0304?$/u.test(text) ? element("var", {}, text) : text;
  });
}
