/** A report as one HTML file, with nothing to load from elsewhere. */
import { escapeText } from "./escape.js";
import { theme } from "./looks.js";

/** The page around a report: light or dark as the reader's system is, in the colours of its charts. */
export function htmlDocument({ title, style, body }: { title: string; style: string; body: string }): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeText(title)}</title>
<style>
:root{color-scheme:light dark}
${theme(":root")}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.chart{width:100%;height:auto}
${style}
</style>
</head>
<body>
${body}
</body>
</html>
`;
}
