/** Plain-text tables and numbers for people. */

/** Columns padded to their widest cell; the first is aligned left, the others right. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, c) => Math.max(...all.map((row) => width(row[c] ?? ""))));
  const line = (row: readonly string[]) =>
    widths
      .map((w, c) => {
        const cell = row[c] ?? "";
        const space = " ".repeat(w - width(cell));
        return c === 0 ? cell + space : space + cell;
      })
      .join("   ")
      .trimEnd();
  const rule = widths.map((w) => "─".repeat(w)).join("───");
  return [line(head), rule, ...rows.map(line)].join("\n");
}

function width(cell: string): number {
  return [...cell].length;
}

/** 0.0312, 1.25, 12.4, 1.2e-7: four or so digits that matter. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return value.toExponential(2);
  return value.toFixed(size < 10 ? 4 : size < 1000 ? 2 : 0);
}

export function percent(share: number | null | undefined): string {
  return share === null || share === undefined || !Number.isFinite(share)
    ? "–"
    : `${(100 * share).toFixed(2)} %`;
}

/** For axes: 98 %, 97.5 %. */
export function shortPercent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}

/** 4.2 s, 1:05, 1:02:03. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const total = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${minutes}:${two(total % 60)}`;
}
