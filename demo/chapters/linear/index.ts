// Chapter 1: a linear network, where one step of K-FAC is Newton's and lands at the minimum.
import { InvertStatus } from "kfac-webgpu";
import { kronecker, type Matrix, maxAbs, norm, relativeError, subtract } from "kfac-webgpu/reference";
import {
  button,
  buttonRow,
  controlGrid,
  curves,
  dataTable,
  displayMath,
  element,
  figureGrid,
  fragment,
  heatmap,
  inNextFrame,
  integer,
  type Mount,
  math,
  nextFrame,
  number,
  scientific,
  select,
  slider,
  statRow,
  statTile,
} from "../../ui/index.js";
import {
  type Analysis,
  analyse,
  DESCENT_STEPS,
  excess,
  lossAt,
  type StepRule,
  stepsOfDescent,
} from "./analysis.js";
import { contours } from "./contours.js";
import { type GpuStep, gpuStep } from "./gpu-step.js";
import { type Plane, planeOf } from "./plane.js";
import { makeProblem, NETWORK_OUTPUTS, type Problem } from "./problem.js";
import "./style.css";

/** The share of the first excess that counts as having arrived. */
const ARRIVED = 1e-6;
/** What a few roundings of f32 in a row come to. */
const ROUNDING = 16 * 2 ** -24;
/** Other bits of the status are advice, about damping that is not asked for here. */
const UNUSABLE = InvertStatus.notPositiveDefinite | InvertStatus.nonFinite;
/** Steps of gradient descent drawn in a frame while it is being played. */
const STEPS_PER_FRAME = 2;

interface Scene {
  problem: Problem;
  analysis: Analysis;
  plane: Plane;
}

export const mount: Mount = async (root, context) => {
  const { signal } = context;
  let seed = 1;
  /** The newest problem; older work that is still under way stops when it sees another. */
  let current: Scene | undefined;

  const update = inNextFrame(() => void recompute());
  const rows = slider({ label: "Rows of W, m", min: 1, max: 8, value: 5, onInput: update });
  const columns = slider({ label: "Columns of W, n", min: 1, max: 10, value: 7, onInput: update });
  const examples = slider({ label: "Examples, N", min: 12, max: 200, value: 60, onInput: update });
  const condition = slider({
    label: "Condition of H, κ",
    min: 0,
    max: 6,
    step: 0.1,
    value: 3,
    format: (value) => number(10 ** value, 2),
    onInput: update,
  });
  const rule = select<StepRule>({
    label: "Step of gradient descent",
    options: [
      { value: "safe", label: "1 / λmax" },
      { value: "best", label: "2 / (λmax + λmin)" },
    ],
    value: "safe",
    onInput: update,
  });
  const another = button({
    label: "Other numbers",
    onClick: () => {
      seed += 1;
      update();
    },
  });
  const again = button({ label: "Walk again", onClick: () => void play(current) });

  const start = statTile({ label: "Loss at the start" });
  const landed = statTile({ label: "After one Newton step on the GPU" });
  const least = statTile({ label: "Least possible loss (f64)" });
  const crawled = statTile({ label: `After ${DESCENT_STEPS} steps of gradient descent` });

  const landscape = contours({ title: "The loss, seen in the plane of both first steps", signal });
  const progressOf = curves({
    title: "Share of the loss above the minimum that is left",
    x: { label: "steps", format: integer },
    y: { label: "share left", log: true, format: (y) => scientific(y) },
    series: [
      { label: "Newton (GPU)", color: 1, points: true },
      { label: "Gradient descent", color: 2 },
    ],
    height: 350,
    signal,
  });

  const shared = { size: 250, signal };
  const mapA = heatmap({ ...shared, title: math("AA'"), name: "AA′", caption: "inputs, from the GPU" });
  const mapB = heatmap({ ...shared, title: math("BB'"), name: "BB′", caption: "outputs, from the GPU" });
  const mapK = heatmap({
    ...shared,
    title: math("AA' ⊗ BB'"),
    name: "AA′ ⊗ BB′",
    caption: "the product of both",
  });
  const mapH = heatmap({
    ...shared,
    title: math("H"),
    name: "H",
    caption: "measured, in f64",
  });
  const gap = element("p", { class: "prose", role: "status" });

  const results = dataTable({
    caption: "Each quantity on the GPU beside the f64 reference",
    columns: [
      { label: "quantity" },
      { label: "operation" },
      { label: "size", numeric: true },
      { label: "‖GPU, f32‖", numeric: true },
      { label: "‖reference, f64‖", numeric: true },
      { label: "relative error", numeric: true },
    ],
  });

  root.append(
    element("h2", {}, "Linear: one step lands at the minimum"),
    element(
      "p",
      { class: "lead" },
      "In a linear network ",
      math("Y = B'WA"),
      " the loss is a quadratic bowl in ",
      math("W"),
      ", and Newton’s method reaches its bottom in one step. The step needs no large matrix.",
    ),
    element(
      "p",
      {},
      "With the loss ",
      math("J = ½ tr(e'e)"),
      " of the error ",
      math("e = Ŷ − B'WA"),
      " and the gradient ",
      math("G = −BeA'"),
      ", the Hessian is a Kronecker product of two small matrices, so its inverse is one as well:",
    ),
    displayMath("H = AA' ⊗ BB'", "H equals A A transposed, Kronecker, B B transposed"),
    displayMath(
      "W ← W − (BB')^{-1} G (AA')^{-1}",
      "W becomes W minus the inverse of B B transposed, times G, times the inverse of A A transposed",
    ),
    controlGrid(rows, columns, examples, condition, rule),
    statRow(start, landed, least, crawled),
    element("div", { class: "linear-pictures" }, landscape.element, progressOf.element),
    buttonRow(again, another),
    element("h3", {}, "Is the Hessian really that product?"),
    element(
      "p",
      {},
      "The last picture is H measured without the formula: each column is a difference of two gradients, in f64. Before it, the Kronecker product of the two Gram matrices that the GPU computed.",
    ),
    figureGrid(mapA, mapB, mapK, mapH),
    gap,
    element("h3", {}, "What the GPU computed"),
    element(
      "p",
      {},
      "Every number below came back from the GPU in f32. The reference starts from the same numbers and calculates in f64. An inverse can lose as many digits as its matrix’s condition number has.",
    ),
    results.element,
  );

  const showReference = (mine: Scene) => {
    const { problem, analysis } = mine;
    const { newton, minimum, descent } = analysis;
    const last = lossAt(problem, descent.path.at(-1)!);
    const needed = stepsOfDescent(analysis, problem, ARRIVED);
    start.set(number(newton.loss, 5));
    least.set(
      number(minimum, 5),
      `W is ${problem.W.rows} × ${problem.W.cols}, the network has ${NETWORK_OUTPUTS} outputs`,
    );
    crawled.set(
      number(last, 5),
      `${integer(needed)} ${needed === 1 ? "step" : "steps"} would leave 10⁻⁶ of the excess`,
    );
    least.element.dataset.value = String(minimum);
    crawled.element.dataset.value = String(last);
    mapH.update(analysis.hessian);
    landed.set("…", "");
    showLandscape(mine, newton.W);
  };

  const showLandscape = ({ problem, analysis, plane }: Scene, after: Matrix) => {
    landscape.set({
      plane,
      descent: analysis.descent.path.map((W) => plane.project(W)),
      newton: [plane.project(problem.W), plane.project(after)],
    });
  };

  const showGpu = (mine: Scene, gpu: GpuStep) => {
    const { problem, analysis } = mine;
    const { newton } = analysis;
    const loss = lossAt(problem, gpu.W);
    const share = excess(analysis, gpu.W) / excess(analysis, problem.W);
    landed.set(
      number(loss, 5),
      (gpu.status & UNUSABLE) === 0
        ? `${scientific(share)} of the excess over the minimum is left`
        : "a factor could not be inverted in f32",
    );
    landed.element.dataset.value = String(loss);
    const product = kronecker(gpu.AAt, gpu.BBt);
    const limit = maxAbs(analysis.hessian);
    mapA.update(gpu.AAt);
    mapB.update(gpu.BBt);
    mapK.update(product, { limit });
    mapH.update(analysis.hessian, { limit });
    const difference = maxAbs(subtract(product, analysis.hessian)) / limit;
    gap.replaceChildren(
      fragment(
        "The largest difference between the two is ",
        element("strong", { id: "hessian-difference", "data-value": difference }, scientific(difference)),
        ` of the largest number: ${difference < ROUNDING ? "the rounding of f32" : "more than the rounding of f32"} (`,
        scientific(2 ** -24),
        " for each operation).",
      ),
    );
    const row = (name: string, operation: string, mine: Matrix, reference: Matrix) => {
      const error = relativeError(mine, reference);
      return [
        math(name),
        operation,
        `${mine.rows} × ${mine.cols}`,
        number(norm(mine), 6),
        number(norm(reference), 6),
        element(
          "span",
          { class: "relative-error", "data-name": operation, "data-value": error },
          scientific(error),
        ),
      ];
    };
    results.set([
      row("AA'", "gram", gpu.AAt, newton.AAt),
      row("BB'", "gram", gpu.BBt, newton.BBt),
      row("G", "matmul", gpu.gradient, newton.gradient),
      row("(AA')^{-1}", "invert", gpu.AAtInverse, newton.AAtInverse),
      row("(BB')^{-1}", "invert", gpu.BBtInverse, newton.BBtInverse),
      row("(BB')^{-1} G (AA')^{-1}", "sandwich", gpu.step, newton.step),
    ]);
    showLandscape(mine, gpu.W);
    // What f32 reaches may be exactly the minimum, which a logarithmic axis cannot show.
    progressOf.set(0, { x: [0, 1], y: [1, Math.max(share, 1e-17)] });
  };

  const recompute = async () => {
    if (signal.aborted) return;
    const size = {
      outputs: rows.value,
      inputs: columns.value,
      examples: examples.value,
      condition: 10 ** condition.value,
      seed,
    };
    const problem = makeProblem(size);
    const analysis = analyse(problem, rule.value);
    const mine = { problem, analysis, plane: planeOf(problem, analysis) };
    current = mine;
    root.setAttribute("aria-busy", "true");
    showReference(mine);
    try {
      const gpu = await gpuStep(await context.engine(), problem);
      if (signal.aborted || current !== mine) return;
      showGpu(mine, gpu);
    } catch (error) {
      if (current !== mine) return;
      landed.set("–", "the GPU gave no answer");
      progressOf.set(0, { x: [], y: [] });
      context.fail(error);
    }
    await play(mine);
    if (current === mine && !signal.aborted) root.removeAttribute("aria-busy");
  };

  let playing = 0;
  const play = async (mine: Scene | undefined) => {
    if (!mine) return;
    playing += 1;
    const turn = playing;
    const { analysis } = mine;
    const first = excess(analysis, analysis.descent.path[0]!);
    const shares = analysis.descent.path.map((W) => excess(analysis, W) / first);
    const show = (steps: number) => {
      landscape.show(steps);
      progressOf.set(1, { x: shares.slice(0, steps + 1).map((_, k) => k), y: shares.slice(0, steps + 1) });
    };
    if (!context.reducedMotion) {
      for (let steps = 0; steps < DESCENT_STEPS; steps += STEPS_PER_FRAME) {
        show(steps);
        await nextFrame();
        if (signal.aborted || current !== mine || playing !== turn) return;
      }
    }
    show(DESCENT_STEPS);
  };

  await recompute();
  return { dispose() {} };
};
