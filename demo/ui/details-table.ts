// The text beside every plot: a table that is made when somebody opens it.
import { element } from "./dom.js";
import { type Cell, type Column, dataTable } from "./table.js";

export interface TableContent {
  columns: readonly Column[];
  rows: readonly (readonly Cell[])[];
  /** Said above the table, for example what was left out. */
  note?: string;
}

export interface DetailsTable {
  readonly element: HTMLDetailsElement;
  /** The numbers have changed: an open table is made again. */
  refresh(): void;
}

export function detailsTable(title: string, content: () => TableContent): DetailsTable {
  const body = element("div", { class: "details-body" });
  const details = element(
    "details",
    { class: "as-table" },
    element("summary", {}, "As a table", element("span", { class: "visually-hidden" }, `: ${title}`)),
    body,
  );
  const refresh = () => {
    if (!details.open) return;
    const { columns, rows, note } = content();
    const table = dataTable({ caption: title, columns, hideCaption: true });
    table.set(rows);
    body.replaceChildren(...(note ? [element("p", { class: "note" }, note)] : []), table.element);
  };
  details.addEventListener("toggle", refresh);
  return { element: details, refresh };
}
