/** A report as one HTML file without anything to load: facts, a table, charts. */
import {
  type Axis,
  chartStyle,
  escapeText,
  htmlDocument,
  type Looks,
  lineChart,
  type Series,
} from "../../charts/index.js";

/** What a report says. */
export interface Page {
  title: string;
  /** A sentence or two under the title. */
  lead: string;
  table?: { head: readonly string[]; rows: readonly (readonly string[])[]; note?: string };
  charts: readonly Chart[];
  /** Name and value, at the end. */
  facts: readonly (readonly [name: string, value: string])[];
}

/** One chart of a report. */
export interface Chart {
  title: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
}

/** Okabe and Ito's colours, told apart with every kind of colour vision, darker on white and lighter on black. */
const LOOKS = {
  first: { light: "#0065a8", dark: "#5ab8f5", mark: "circle" },
  second: { light: "#c24e00", dark: "#f09a3e", mark: "square", dash: "7 4" },
  third: { light: "#00805c", dark: "#2cc79a", mark: "triangle", dash: "2 3" },
} as const satisfies Looks;

const IDS = Object.keys(LOOKS);

/** The look of the k-th series, counted from 0; the fourth looks like the first again. */
export function lookOf(k: number): string {
  return IDS[k % IDS.length]!;
}

const STYLE = `
body{font-size:16px}
main{max-width:820px;margin:0 auto;padding:40px 20px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 8px}
h2{font-size:17px;margin:0 0 8px}
p{margin:0 0 12px} .lead,.note{color:var(--soft)} .note{font-size:14px;margin:8px 0 0}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:18px 20px;margin-top:20px}
.scroll{overflow-x:auto} .scroll .chart{min-width:600px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:15px}
th,td{text-align:right;padding:7px 0 7px 18px;border-bottom:1px solid var(--rule);vertical-align:bottom}
td{white-space:nowrap}
th{font-weight:600;font-size:13px;color:var(--soft)} tbody tr:last-child td,tbody tr:last-child th{border-bottom:0}
th:first-child,td:first-child{text-align:left;padding-left:0} tbody th{color:var(--ink);font-size:15px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0;font-size:14px}
dt{color:var(--soft)} dd{margin:0;overflow-wrap:anywhere}
${chartStyle(LOOKS)}
`;

export function renderPage({ title, lead, table, charts, facts }: Page): string {
  const sections = [
    table && `<section>${renderTable(table)}</section>`,
    ...charts.map(({ series, ...chart }) => {
      const drawing = lineChart({ ...chart, looks: LOOKS, panels: [{ series }], names: "ends" });
      return `<section>\n<h2>${escapeText(chart.title)}</h2>\n<div class="scroll">${drawing}</div>\n</section>`;
    }),
    `<section>\n<h2>Setting</h2>\n<dl>${facts
      .map(([name, value]) => `<dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd>`)
      .join("\n")}</dl>\n</section>`,
  ].filter((section) => section !== undefined);
  const body = `<main>
<h1>${escapeText(title)}</h1>
<p class="lead">${escapeText(lead)}</p>
${sections.join("\n")}
</main>`;
  return htmlDocument({ title, style: STYLE, body });
}

function renderTable({ head, rows, note }: NonNullable<Page["table"]>): string {
  const header = head.map((cell) => `<th scope="col">${escapeText(cell)}</th>`).join("");
  const body = rows
    .map(([first = "", ...rest]) => {
      const cells = rest.map((cell) => `<td>${escapeText(cell)}</td>`).join("");
      return `<tr><th scope="row">${escapeText(first)}</th>${cells}</tr>`;
    })
    .join("\n");
  const text = note === undefined ? "" : `\n<p class="note">${escapeText(note)}</p>`;
  return `<div class="scroll"><table><thead><tr>${header}</tr></thead>\n<tbody>\n${body}\n</tbody></table></div>${text}`;
}
