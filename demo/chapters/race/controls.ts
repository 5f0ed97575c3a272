// What may be changed, as labelled controls.
import { controlGrid, element, listSlider, select, slider } from "../../ui/index.js";
import { KINDS, type Kind, type LiveSettings, OPTIONS, type RacePlan, TITLES } from "./settings.js";

const PERIODS = [1, 2, 5];
const MANTISSAS = [1, 1.5, 2, 3, 4, 5, 6, 8];
/** How a slider shows what K-FAC finds by itself: its first position. */
const shown = (value: number | string) => (typeof value === "string" ? "by itself" : String(value));
const BATCHES = [50, 100, 250, 500, 1000];

export interface RaceControls {
  readonly element: HTMLElement;
}

export function raceControls(options: {
  plan: RacePlan;
  settings: LiveSettings;
  onSettings(settings: LiveSettings): void;
  onPlan(plan: RacePlan): void;
}): RaceControls {
  let { settings, plan } = options;
  const set = (change: Partial<LiveSettings>) => {
    settings = { ...settings, ...change };
    options.onSettings(settings);
  };
  const restart = (change: Partial<RacePlan>) => {
    plan = { ...plan, ...change };
    options.onPlan(plan);
  };
  const { damping, inverseEvery, fisher } = OPTIONS.kfac;
  const rate = (kind: Kind) =>
    listSlider<number | "model">({
      label: `${OPTIONS[kind].learningRate.label} of ${TITLES[kind].replace(/,.*/, "")}`,
      values: [
        ...(kind === "kfac" ? (["model"] as const) : []),
        ...rounded(OPTIONS[kind].learningRate.usual, MANTISSAS),
      ],
      value: settings.learningRates[kind],
      format: shown,
      onInput: (value) => set({ learningRates: { ...settings.learningRates, [kind]: value } }),
    });
  const live = controlGrid(
    ...KINDS.map(rate),
    listSlider<number | "loss">({
      label: damping.label,
      values: ["loss", ...rounded(damping.usual, MANTISSAS)],
      value: settings.damping,
      format: shown,
      onInput: (value) => set({ damping: value }),
    }),
    listSlider({
      label: inverseEvery.label,
      values: rounded(inverseEvery.usual, PERIODS),
      value: settings.inverseEvery,
      format: (value) => (value === 1 ? "step" : `${value} steps`),
      onInput: (value) => set({ inverseEvery: value }),
    }),
    select({
      label: fisher.label,
      value: settings.fisher,
      options: fisher.choices.map((value) => ({ value, label: fisher.titles[value] })),
      onInput: (value) => set({ fisher: value }),
    }),
  );
  const fresh = controlGrid(
    select({
      label: "Digits of",
      value: String(plan.shrink) as "1" | "2",
      options: [
        { value: "2", label: "14 × 14 pixels" },
        { value: "1", label: "28 × 28 pixels" },
      ],
      onInput: (value) => restart({ shrink: value === "1" ? 1 : 2 }),
    }),
    listSlider({
      label: "Digits in a batch",
      values: BATCHES,
      value: plan.batchSize,
      onInput: (batchSize) => restart({ batchSize }),
    }),
    slider({
      label: "Seed",
      min: 1,
      max: 9,
      value: plan.seed,
      onInput: (seed) => restart({ seed }),
    }),
  );
  return {
    element: element(
      "div",
      { class: "race-controls" },
      element("p", { class: "note" }, "These count from the next step on:"),
      live,
      element("p", { class: "note" }, "These start the race afresh:"),
      fresh,
    ),
  };
}

/** The round numbers from `least` to `most`: the mantissas times powers of ten. */
function rounded([least, most]: readonly [number, number], mantissas: readonly number[]): number[] {
  const first = Math.floor(Math.log10(least));
  const decades = Array.from({ length: Math.ceil(Math.log10(most)) - first + 1 }, (_, k) => first + k);
  return decades
    .flatMap((decade) => mantissas.map((mantissa) => Number(`${mantissa}e${decade}`)))
    .filter((value) => value >= least && value <= most);
}
