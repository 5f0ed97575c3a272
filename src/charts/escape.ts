/** Text as HTML or XML content or attribute value. Characters that XML does not allow are dropped. */
export function escapeText(value: string): string {
  return [...value]
    .filter((character) => character >= " " || character === "\n" || character === "\t")
    .join("")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
