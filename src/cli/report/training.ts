/** The report of `kfac train --report`. */
import type { EpochLine } from "../records.js";
import { duration, percent, short, shortPercent } from "../table.js";
import type { TrainPlan } from "../train-plan.js";
import type { Chart, Series } from "./chart.js";
import { renderPage } from "./page.js";

export interface TrainingFacts {
  optimizer: string;
  adapter: string;
  plan: TrainPlan;
  examples: number;
  losses: readonly { step: number; seconds: number; loss: number }[];
  epochs: readonly EpochLine[];
}

export function trainingReport({
  optimizer,
  adapter,
  plan,
  examples,
  losses,
  epochs,
}: TrainingFacts): string {
  const { network, settings } = plan;
  const curve = (x: "step" | "seconds"): Series[] => {
    const raw = losses.map((one): [number, number] => [one[x], one.loss]);
    return [
      { name: optimizer, style: 0, points: raw, faint: true },
      { name: optimizer, style: 0, points: smooth(raw) },
    ];
  };
  const charts: Chart[] = [
    { title: "Loss by step", x: "step", y: "batch loss", logarithmic: true, series: curve("step") },
    { title: "Loss by time", x: "seconds", y: "batch loss", logarithmic: true, series: curve("seconds") },
  ];
  const tested = epochs.filter(({ testAccuracy }) => testAccuracy !== null);
  if (tested.length > 1) {
    charts.push({
      title: "Test accuracy by epoch",
      x: "epoch",
      y: "accuracy",
      format: shortPercent,
      series: [
        {
          name: optimizer,
          style: 0,
          points: tested.map(({ epoch, testAccuracy }) => [epoch, testAccuracy ?? Number.NaN]),
        },
      ],
    });
  }
  return renderPage({
    title: `${optimizer} on ${examples.toLocaleString("en")} examples`,
    lead: `A ${network.sizes.join("-")} network, ${losses.length} steps with batches of ${network.batchSize}.`,
    table: {
      head: ["Epoch", "Training loss", "Test accuracy", "Time"],
      rows: epochs.map(({ epoch, trainLoss, testAccuracy, seconds }) => [
        String(epoch),
        short(trainLoss),
        percent(testAccuracy),
        duration(seconds),
      ]),
      note: "Training loss: the mean over all training examples after the epoch.",
    },
    charts,
    facts: [
      ["Adapter", adapter],
      ["Activation", network.activation],
      ["Loss", network.loss],
      ["Seed", String(network.seed)],
      ...Object.entries(settings).map(([name, value]): [string, string] => [name, String(value)]),
    ],
  });
}

/** A running geometric mean, as the axis is logarithmic, over a few points of a short run and 20 of a long one. */
function smooth(points: readonly [number, number][]): [number, number][] {
  const memory = Math.min(20, Math.max(3, points.length / 30));
  let mean: number | undefined;
  return points.map(([x, y]) => {
    const value = Math.log(y);
    if (Number.isFinite(value)) mean = mean === undefined ? value : mean + (value - mean) / memory;
    return [x, Math.exp(mean ?? value)];
  });
}
