// The race as buttons, numbers and curves.
import {
  button,
  buttonRow,
  curves,
  element,
  integer,
  number,
  percent,
  progress,
  select,
  statRow,
  statTile,
} from "../../ui/index.js";
import type { Phase } from "./controller.js";
import type { Race } from "./race.js";
import { KINDS, type Kind, TITLES } from "./settings.js";

export interface RaceView {
  readonly element: HTMLElement;
  /** Buttons and what stands beside them. */
  phase(phase: Phase, step: number): void;
  preparing(done: number, total: number): void;
  /** Step and curves as the race has them now. */
  show(race: Race | undefined, curvesToo: boolean): void;
}

type Axis = "step" | "seconds";
const AXES: Readonly<Record<Axis, string>> = { step: "Steps", seconds: "Seconds of its own steps" };
const COLORS = { kfac: 1, sgd: 2, adam: 3 } as const satisfies Record<Kind, number>;

export function raceView(options: {
  signal: AbortSignal;
  onStart(): void;
  onPause(): void;
  onReset(): void;
}): RaceView {
  let axis: Axis = "step";
  let shown: Race | undefined;
  let running = false;
  const start = button({
    label: "Start",
    primary: true,
    disabled: true,
    onClick: () => (running ? options.onPause() : options.onStart()),
  });
  const reset = button({ label: "Reset", disabled: true, onClick: options.onReset });
  const steps = statTile({ label: "Steps of each", value: "0" });
  const tiles = Object.fromEntries(
    KINDS.map((kind) => [kind, statTile({ label: `Training loss, ${TITLES[kind].replace(/,.*/, "")}` })]),
  ) as Record<Kind, ReturnType<typeof statTile>>;
  const plot = curves({
    title: "Training loss",
    x: { label: AXES.step, format: (x) => (axis === "step" ? integer(x) : number(x)) },
    y: { label: "Loss (mean cross entropy)", log: true },
    series: KINDS.map((kind) => ({ label: TITLES[kind], color: COLORS[kind] })),
    height: 340,
    signal: options.signal,
  });
  const choice = select({
    label: "Curves by",
    options: [
      { value: "step", label: "Step" },
      { value: "seconds", label: "Second" },
    ],
    value: axis as Axis,
    onInput: (value) => {
      axis = value;
      plot.setX(AXES[axis]);
      drawCurves();
    },
  });
  choice.element.classList.add("race-axis");
  const compiling = progress({ label: "Opening the GPU" });
  const verdict = element("p", { class: "race-verdict", role: "status" });
  const decisions = element("p", { class: "note race-decisions" });

  const drawCurves = () => {
    KINDS.forEach((kind, index) => {
      plot.set(index, shown?.log.points(kind, axis) ?? { x: [], y: [] });
    });
  };

  const made = element(
    "div",
    { class: "race" },
    element("div", { class: "race-head" }, buttonRow(start, reset), choice.element),
    compiling.element,
    statRow(steps, ...KINDS.map((kind) => tiles[kind])),
    verdict,
    decisions,
    plot.element,
  );

  return {
    element: made,
    phase(phase, step) {
      running = phase === "running";
      made.dataset.phase = phase;
      start.textContent = running ? "Pause" : step > 0 ? "Continue" : "Start";
      start.disabled = phase !== "running" && phase !== "ready";
      reset.disabled = phase === "opening" || phase === "preparing";
      compiling.element.hidden = phase !== "opening" && phase !== "preparing";
      if (phase === "opening") compiling.update(0, KINDS.length, "");
    },
    preparing(done, total) {
      compiling.update(done, total, done < total ? `Compiling the shaders of ${TITLES[KINDS[done]!]}` : "");
    },
    show(race, curvesToo) {
      shown = race;
      const step = race?.step ?? 0;
      made.dataset.step = String(step);
      steps.set(integer(step), race ? `epoch ${number(step / race.stepsPerEpoch)}` : "");
      if (!curvesToo) return;
      for (const kind of KINDS) {
        const last = race?.log.last(kind);
        const note = last ? `${percent(last.accuracy)} of the test digits, ${number(last.seconds)} s` : "";
        tiles[kind].set(last ? number(last.loss) : "–", note);
      }
      const text = race ? verdictOf(race) : "";
      if (verdict.textContent !== text) verdict.textContent = text;
      decisions.textContent = race ? decisionsOf(race) : "";
      drawCurves();
    },
  };
}

/** What K-FAC decided by itself at its last step, and what it did about bad batches. */
function decisionsOf({ last, trouble }: Race): string {
  if (!last) return "";
  const { learningRate, momentum, lambda, verdict, rejected, heldBatches } = last;
  const step =
    verdict === "taken"
      ? `K-FAC’s last step: rate ${number(learningRate)}, momentum ${number(momentum)}, λ ${number(lambda)}.`
      : `K-FAC’s λ: ${number(lambda)}.`;
  if (!trouble) return step;
  const counts = `Steps taken back: ${rejected}, batches left out: ${heldBatches}`;
  return `${step} ${counts}, most lately in step ${trouble.step}: ${trouble.status}.`;
}

/** Who is ahead, in a sentence, once there is something to say. */
function verdictOf({ log }: Race): string {
  const adam = log.lowest("adam");
  const last = log.last("adam");
  if (!adam || !last || last.step < 20) return "";
  const kfac = log.reach("kfac", "adam");
  const its = `Adam’s lowest loss so far, ${number(adam.loss)} at step ${adam.step} (${number(adam.seconds)} s)`;
  if (!kfac) return `K-FAC has not come to ${its}.`;
  return `K-FAC came to ${its}, by step ${kfac.step} (${number(kfac.seconds)} s).`;
}
