// The problem as labelled controls.
import { controlGrid, listSlider, select, slider } from "../../ui/index.js";
import type { Problem } from "./problem.js";

const DAMPINGS = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1];
const STEPS = [0, 10, 30, 100];

export function problemControls(initial: Problem, onChange: (problem: Problem) => void): HTMLElement {
  let problem = initial;
  const set = (change: Partial<Problem>) => {
    problem = { ...problem, ...change };
    onChange(problem);
  };
  const few = (
    label: string,
    key: "kernel" | "channels" | "filters",
    [min, max]: readonly [number, number],
    format?: (x: number) => string,
  ) => slider({ label, min, max, value: initial[key], format, onInput: (value) => set({ [key]: value }) });
  return controlGrid(
    few("Kernel", "kernel", [1, 3], (k) => `${k} × ${k}`),
    few("Channels in", "channels", [1, 4]),
    few("Channels out", "filters", [2, 4]),
    select({
      label: "Images",
      value: String(initial.side) as "7" | "14",
      options: [
        { value: "7", label: "7 × 7" },
        { value: "14", label: "14 × 14" },
      ],
      onInput: (side) => set({ side: side === "7" ? 7 : 14 }),
    }),
    select({
      label: "Positions are",
      value: initial.head,
      options: [
        { value: "flatten", label: "kept" },
        { value: "average", label: "averaged" },
      ],
      onInput: (head) => set({ head }),
    }),
    listSlider({
      label: "Damping λ",
      values: DAMPINGS,
      value: initial.damping,
      onInput: (damping) => set({ damping }),
    }),
    listSlider({
      label: "Training",
      values: STEPS,
      value: initial.steps,
      format: (steps) => `${steps} steps`,
      onInput: (steps) => set({ steps }),
    }),
  );
}
