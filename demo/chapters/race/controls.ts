// What may be changed, as labelled controls.
import { controlGrid, element, listSlider, select, slider } from "../../ui/index.js";
import { KINDS, type Kind, type LiveSettings, type RacePlan, TITLES } from "./settings.js";

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8];
const decades = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, k) => STEPS.map((step) => Number(`${step}e${from + k}`)))
    .flat()
    .concat(Number(`1e${to}`));
const RATES = decades(-4, 0);
const DAMPINGS = decades(-4, 1);
const PERIODS = [1, 2, 5, 10, 20, 50];
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
  const rate = (kind: Kind) =>
    listSlider({
      label: `Learning rate of ${TITLES[kind].replace(/,.*/, "")}`,
      values: RATES,
      value: settings.learningRates[kind],
      onInput: (value) => set({ learningRates: { ...settings.learningRates, [kind]: value } }),
    });
  const live = controlGrid(
    ...KINDS.map(rate),
    listSlider({
      label: "Damping λ",
      values: DAMPINGS,
      value: settings.damping,
      onInput: (damping) => set({ damping }),
    }),
    listSlider({
      label: "New inverses every",
      values: PERIODS,
      value: settings.inverseEvery,
      format: (value) => (value === 1 ? "step" : `${value} steps`),
      onInput: (inverseEvery) => set({ inverseEvery }),
    }),
    select({
      label: "Fisher, for B̄",
      value: settings.fisher,
      options: [
        { value: "monteCarlo", label: "Monte-Carlo" },
        { value: "exact", label: "Exact" },
        { value: "empirical", label: "Empirical" },
      ],
      onInput: (fisher) => set({ fisher }),
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
