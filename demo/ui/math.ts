// Formulas in plain HTML: `math("W − (BB')^{-1} G (AA')^{-1}")`.
import { element } from "./dom.js";

const TOKEN = /(?:tr|vec)(?=\()|[\^_]\{[^}]*\}|\p{L}\u0304?|'|[^\p{L}'^_]+|[\^_]/gu;

/**
 * Letters become variables (but for the operators tr and vec), `'` a prime, `^{…}` and `_{…}` raised and lowered text. `label` is what a screen reader says
 * instead, where the signs alone would not do.
 */
export function math(formula: string, label?: string): HTMLElement {
  const made = element("span", { class: "math", role: label ? "img" : undefined, "aria-label": label });
  for (const [token] of formula.matchAll(TOKEN)) {
    const script = /^([\^_])\{([^}]*)\}$/.exec(token);
    if (script) made.append(element(script[1] === "^" ? "sup" : "sub", {}, ...parts(script[2] ?? "")));
    else made.append(...parts(token));
  }
  return made;
}

/** A formula on a line of its own. */
export function displayMath(formula: string, label?: string): HTMLElement {
  return element("p", { class: "display-math" }, math(formula, label));
}

function parts(token: string): (Node | string)[] {
  const text = token.replaceAll("'", "′").replaceAll("-", "−");
  return /^\p{L}\u0304?$/u.test(text) ? [element("var", {}, text)] : [text];
}
