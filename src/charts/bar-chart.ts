/** Bars with their numbers, in groups. */
import { scaleLinear } from "d3-scale";
import { headHeight, type Picture, svg, WIDTH } from "./picture.js";
import { tag, text } from "./svg.js";

/** One bar. */
export interface Bar {
  label: string;
  value: number;
  /** What stands behind the bar. */
  text: string;
}

/** A chart of bars; each group has a scale of its own, from zero to its largest value. */
export interface BarChart extends Picture {
  /** Whose look the bars have. */
  id: string;
  groups: readonly { title: string; bars: readonly Bar[] }[];
}

/** The drawing. */
export function barChart(chart: BarChart): string {
  const [left, right] = [190, WIDTH - 220];
  const body: string[] = [];
  let y = headHeight(chart) + 8;
  for (const { title, bars } of chart.groups) {
    const width = scaleLinear([0, Math.max(...bars.map(({ value }) => value))], [0, right - left]);
    body.push(text({ x: 16, y: y + 6, "font-weight": "600" }, title));
    y += 16;
    for (const bar of bars) {
      const long = Math.max(1, width(bar.value));
      body.push(
        text({ x: left - 10, y: y + 12, "text-anchor": "end" }, bar.label),
        tag("rect", { class: `bar ${chart.id}`, x: left, y: y + 1, width: long, height: 14, rx: 2 }),
        text({ class: "soft", x: left + long + 8, y: y + 12 }, bar.text),
      );
      y += 19;
    }
    y += 22;
  }
  return svg(chart, y, body);
}
