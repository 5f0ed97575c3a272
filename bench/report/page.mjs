// One page of all charts and tables.
import { charts } from "../library.mjs";

const { escapeText, htmlDocument } = charts;

const STYLE = `
body{margin:0 auto;padding:24px 16px 64px;max-width:1560px;font-size:15px}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr));gap:20px}
figure{margin:0;border:1px solid var(--rule);border-radius:8px;overflow-x:auto;align-self:start}
figure .chart{min-width:600px}
pre{overflow-x:auto;font:12.5px/1.45 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.facts{color:var(--soft)}
`;

/**
 * @param {{ heading: string, facts: string, drawings: { name: string, svg: string }[], tables: string[] }} content
 */
export function page({ heading, facts, drawings, tables }) {
  const figures = drawings.map(({ name, svg }) => `<figure id="${escapeText(name)}">${svg}</figure>`);
  const body = `<h1>${escapeText(heading)}</h1>
<pre class="facts">${escapeText(facts)}</pre>
<main>
${figures.join("\n")}
</main>
${tables.map((table) => `<pre>${escapeText(table)}</pre>`).join("\n")}`;
  return htmlDocument({ title: heading, style: STYLE, body });
}
