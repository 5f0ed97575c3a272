/** The report of `kfac mnist`: three optimisers on one problem. */
import type { Series } from "../../charts/index.js";
import { type Comparison, reachOf } from "../comparison.js";
import { duration, percent, short, shortPercent } from "../table.js";
import { lookOf, renderPage } from "./page.js";

export const COMPARISON_HEAD = [
  "Optimiser",
  "Test accuracy",
  "Training loss",
  "Steps",
  "Time",
  "Steps to Adam's loss",
  "Time to Adam's loss",
];

/** Cells of `COMPARISON_HEAD`, one row an optimiser. */
export function comparisonRows({ runs }: Comparison): string[][] {
  return runs.map((run) => {
    const last = run.measurements[run.measurements.length - 1];
    const reach = reachOf(runs, run);
    return [
      run.name,
      percent(run.testAccuracy),
      short(last?.loss),
      String(last?.step ?? 0),
      duration(last?.seconds),
      reach === undefined ? "not reached" : String(reach.step),
      duration(reach?.seconds),
    ];
  });
}

export function comparisonNote({ sampleSize, measureEvery }: Comparison): string {
  return (
    `Training loss: the mean over the same ${sampleSize.toLocaleString("en")} training examples, measured every ` +
    `${measureEvery} steps. Adam's loss is the lowest that Adam came to. Time does not count measuring, nor compiling the ` +
    "shaders before the first step."
  );
}

export function comparisonReport(comparison: Comparison): string {
  const { runs } = comparison;
  const series = (x: "step" | "seconds", y: "loss" | "testAccuracy"): Series[] =>
    runs.map(({ name, measurements }, k) => ({
      id: lookOf(k),
      name,
      points: measurements.flatMap((m): [number, number][] => {
        const value = m[y];
        return value === undefined ? [] : [[m[x], value]];
      }),
    }));
  return renderPage({
    title: "K-FAC beside SGD and Adam on MNIST",
    lead: `A ${comparison.sizes.join("-")} network on ${comparison.examples.toLocaleString("en")} digits: the same initial weights, the same batches in the same order, the same kernels.`,
    table: {
      head: COMPARISON_HEAD,
      rows: comparisonRows(comparison),
      note: comparisonNote(comparison),
    },
    charts: [
      {
        title: "Training loss by step",
        x: { label: "step", whole: true },
        y: { label: "training loss", log: true },
        series: series("step", "loss"),
      },
      {
        title: "Training loss by time",
        x: { label: "seconds" },
        y: { label: "training loss", log: true },
        series: series("seconds", "loss"),
      },
      {
        title: "Test accuracy by step",
        x: { label: "step", whole: true },
        y: { label: "test accuracy", format: shortPercent },
        series: series("step", "testAccuracy").map((one) => ({
          ...one,
          points: one.points.filter(([step]) => step > 0),
        })),
      },
    ],
    facts: [
      ["Adapter", comparison.adapter],
      ["Batch", String(comparison.batchSize)],
      ["Seed", String(comparison.seed)],
      ...runs.map(({ name, settings }): [string, string] => [
        name,
        Object.entries(settings)
          .map(([key, value]) => `${key} ${value}`)
          .join(", ") || "the defaults",
      ]),
    ],
  });
}
