// Tables of numbers.
import { element } from "./dom.js";

export type Cell = string | number | Node;

export interface Column {
  label: string;
  /** Set right, in figures of one width. */
  numeric?: boolean;
  /** Kept on one line; numbers are anyway. */
  oneLine?: boolean;
}

export interface DataTable {
  /** A region that scrolls by itself where the table is wider than the page. */
  readonly element: HTMLElement;
  set(rows: readonly (readonly Cell[])[]): void;
  /** Adds rows at the end. `className` marks them, for example "failed". */
  append(row: readonly Cell[], className?: string): void;
}

/** The first cell of a row is its header. */
export function dataTable(options: {
  caption: string;
  columns: readonly Column[];
  hideCaption?: boolean;
}): DataTable {
  const { caption, columns, hideCaption } = options;
  const body = element("tbody");
  const classOf = (column?: Column) =>
    column?.numeric ? "numeric" : column?.oneLine ? "one-line" : undefined;
  const heads = columns.map((column) =>
    element("th", { scope: "col", class: classOf(column) }, column.label),
  );
  const table = element(
    "table",
    {},
    element("caption", { class: hideCaption ? "visually-hidden" : undefined }, caption),
    element("thead", {}, element("tr", {}, ...heads)),
    body,
  );
  const row = (cells: readonly Cell[], className?: string) =>
    element(
      "tr",
      { class: className },
      ...cells.map((cell, index) => {
        const attributes = { class: classOf(columns[index]) };
        return index === 0
          ? element("th", { ...attributes, scope: "row" }, cell)
          : element("td", attributes, cell);
      }),
    );
  return {
    element: element(
      "div",
      { class: "table-scroll", role: "region", tabindex: 0, "aria-label": caption },
      table,
    ),
    set: (rows) => body.replaceChildren(...rows.map((cells) => row(cells))),
    append: (cells, className) => body.append(row(cells, className)),
  };
}
