/** The report of `kfac train --report`. */
import type { Series } from "../../charts/index.js";
import type { EpochLine } from "../records.js";
import { duration, percent, short, shortPercent } from "../table.js";
import type { TrainPlan } from "../train-plan.js";
import { type Chart, lookOf, renderPage } from "./page.js";

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
  const own = { id: lookOf(0), name: optimizer };
  const loss = { label: "batch loss", log: true };
  const curve = (x: "step" | "seconds"): Series[] => {
    const raw = losses.map((one): [number, number] => [one[x], one.loss]);
    return [
      { ...own, points: raw, faint: true },
      { ...own, points: smooth(raw) },
    ];
  };
  const charts: Chart[] = [
    { title: "Loss by step", x: { label: "step", whole: true }, y: loss, series: curve("step") },
    { title: "Loss by time", x: { label: "seconds" }, y: loss, series: curve("seconds") },
  ];
  const tested = epochs.filter(({ testAccuracy }) => testAccuracy !== null);
  if (tested.length > 1) {
    charts.push({
      title: "Test accuracy by epoch",
      x: { label: "epoch", whole: true },
      y: { label: "accuracy", format: shortPercent },
      series: [
        {
          ...own,
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
