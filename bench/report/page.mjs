// One page of all charts and tables. Nothing is loaded from elsewhere.
import { escapeText } from "./chart.mjs";

/**
 * @param {{ heading: string, facts: string, drawings: { name: string, svg: string }[], tables: string[] }} content
 */
export function page({ heading, facts, drawings, tables }) {
  const figures = drawings.map(({ name, svg }) => `<figure id="${name}">${svg}</figure>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeText(heading)}</title>
<style>
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#57606a;--line:#e3e6ea}
@media (prefers-color-scheme:dark){:root{--paper:#0f1318;--ink:#e6e9ee;--soft:#9aa4b0;--line:#262c34}}
body{margin:0 auto;padding:24px 16px 64px;max-width:1560px;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr));gap:20px}
figure{margin:0;border:1px solid var(--line);border-radius:8px;overflow:hidden;align-self:start}
figure svg{display:block;width:100%;height:auto}
pre{overflow-x:auto;font:12.5px/1.45 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.facts{color:var(--soft)}
</style>
<h1>${escapeText(heading)}</h1>
<pre class="facts">${escapeText(facts)}</pre>
<main>
${figures.join("\n")}
</main>
${tables.map((table) => `<pre>${escapeText(table)}</pre>`).join("\n")}
</html>
`;
}
