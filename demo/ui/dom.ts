// Elements in one call.

type Child = Node | string | number | null | undefined | false;

/** Attributes by name; a function is a listener (`onclick`), `true` an attribute without a value, `false` none. */
export type Attributes = Record<
  string,
  string | number | boolean | undefined | null | ((event: never) => void)
>;

/** `element("p", { class: "lead" }, "Text ", strong)`. Text stays text; nothing is parsed. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.replace(/^on/, ""), value as EventListener);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  append(made, children);
  return made;
}

/** A fragment of mixed text and elements. */
export function fragment(...children: Child[]): DocumentFragment {
  const made = document.createDocumentFragment();
  append(made, children);
  return made;
}

function append(parent: ParentNode, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    parent.append(typeof child === "number" ? String(child) : child);
  }
}

let ids = 0;

/** An id that no other element of the page has. */
export function uniqueId(prefix: string): string {
  ids += 1;
  return `${prefix}-${ids}`;
}
