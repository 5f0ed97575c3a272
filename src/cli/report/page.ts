/** A report as one HTML file without anything to load: facts, a table, charts. */
import { type Chart, renderChart } from "./chart.js";
import { escapeText } from "./escape.js";

export interface Page {
  title: string;
  /** A sentence or two under the title. */
  lead: string;
  table?: { head: readonly string[]; rows: readonly (readonly string[])[]; note?: string };
  charts: readonly Chart[];
  /** Name and value, at the end. */
  facts: readonly (readonly [name: string, value: string])[];
}

/** Okabe and Ito's colours, told apart with every kind of colour vision, darker on white and lighter on black. */
const STYLE = `
:root { color-scheme: light dark; --page: #ffffff; --card: #f7f8fa; --text: #1b1f24; --soft: #59636e; --rule: #d9dee4;
  --s0: #0065a8; --s1: #c24e00; --s2: #00805c; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1c2026; --text: #e8ebee; --soft: #9aa4af;
  --rule: #343b44; --s0: #5ab8f5; --s1: #f09a3e; --s2: #2cc79a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 820px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; }
h2 { font-size: 17px; margin: 0 0 8px; }
p { margin: 0 0 12px; } .lead, .note { color: var(--soft); } .note { font-size: 14px; margin: 8px 0 0; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px; margin-top: 20px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px; }
th, td { text-align: right; padding: 7px 0 7px 18px; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
th { font-weight: 600; font-size: 13px; color: var(--soft); } tbody tr:last-child td, tbody tr:last-child th { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } tbody th { color: var(--text); font-size: 15px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.chart { display: block; width: 100%; height: auto; font-size: 12px; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); } .tick { fill: var(--soft); } .name { fill: var(--soft); font-size: 13px; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .line.faint { opacity: 0.3; stroke-width: 1; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); stroke-dasharray: 7 4; } .line.s2 { stroke: var(--s2); stroke-dasharray: 2 3; }
.line.faint { stroke-dasharray: none; }
.dot.s0, .label.s0 { fill: var(--s0); } .dot.s1, .label.s1 { fill: var(--s1); } .dot.s2, .label.s2 { fill: var(--s2); }
.dot.hidden { opacity: 0; } .dot.hidden:hover { opacity: 1; } .label { font-size: 13px; font-weight: 600; }
`;

export function renderPage({ title, lead, table, charts, facts }: Page): string {
  const sections = [
    table && `<section>${renderTable(table)}</section>`,
    ...charts.map(
      (chart) => `<section>\n<h2>${escapeText(chart.title)}</h2>\n${renderChart(chart)}\n</section>`,
    ),
    `<section>\n<h2>Setting</h2>\n<dl>${facts
      .map(([name, value]) => `<dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd>`)
      .join("\n")}</dl>\n</section>`,
  ].filter((section) => section !== undefined);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeText(title)}</h1>
<p class="lead">${escapeText(lead)}</p>
${sections.join("\n")}
</main>
</body>
</html>
`;
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
