// Chapter 2: the piecewise linear network, where the Kronecker product is an approximation. It trains, and is measured.
import "./style.css";
import { fetchDigits } from "../../assets/load.js";
import { displayMath, element, fragment, type Mount, math, nextFrame } from "../../ui/index.js";
import { RaceController } from "./controller.js";
import { raceControls } from "./controls.js";
import { type DigitView, digitView } from "./digit-view.js";
import { inspect } from "./inspect.js";
import { type InspectorView, inspectorView } from "./inspector-view.js";
import { raceView } from "./race-view.js";
import { KINDS, type Kind, PLAN, SAMPLE, SETTINGS } from "./settings.js";

/** Steps after which the race pauses by itself, each time. */
const STINT = 1000;

export const mount: Mount = async (root, context) => {
  const { signal } = context;
  let settings = SETTINGS;
  let plan = PLAN;
  let controller: RaceController | undefined;
  let digit: DigitView | undefined;
  const race = raceView({
    signal,
    onStart: () => controller?.start(),
    onPause: () => void controller?.pause(),
    onReset: () => void controller?.reset(),
  });
  const inspector: InspectorView = inspectorView({
    layers: ["1, from the pixels", "2, hidden", "3, to the classes"],
    signal,
    onInspect: () => void look(),
  });
  const controls = raceControls({
    plan,
    settings,
    onSettings: (next) => {
      settings = next;
      if (controller) controller.settings = next;
    },
    onPlan: (next) => {
      plan = next;
      digit?.shrink(next.shrink);
      void controller?.reset(next);
    },
  });
  const digitPlace = element("div");
  root.append(
    introduction(),
    element(
      "section",
      {},
      element("h3", {}, "The race"),
      raceText(),
      race.element,
      controls.element,
      settingsText(),
    ),
    element("section", {}, element("h3", {}, "Ask the networks"), digitPlace),
    element("section", {}, element("h3", {}, "The curvature, exactly"), inspectorText(), inspector.element),
  );

  const look = async () => {
    if (!controller) return;
    inspector.busy(true);
    const inspected = controller.race;
    try {
      const found = await controller.use((current) => inspect(current, inspector.layer, signal));
      if (found && !signal.aborted && controller.race === inspected) inspector.show(found);
    } catch (error) {
      context.fail(error);
    } finally {
      inspector.busy(false);
    }
  };

  const classify = async (image: Float32Array): Promise<Record<Kind, Float32Array> | undefined> => {
    try {
      return await controller?.use(async (current) => {
        if (image.length !== current.train.features) return undefined;
        const [kfac, adam, sgd] = await Promise.all(KINDS.map((kind) => current.classify(kind, image)));
        return { kfac: kfac!, adam: adam!, sgd: sgd! };
      });
    } catch (error) {
      context.fail(error);
      return undefined;
    }
  };

  try {
    const digits = await fetchDigits(signal);
    controller = new RaceController({
      engine: () => context.engine(),
      frame: nextFrame,
      digits,
      plan,
      settings,
      signal,
      stint: STINT,
      onChange: ({ phase, measured, prepared }) => {
        const current = controller?.race;
        const step = current?.step ?? 0;
        race.phase(phase, step);
        if (prepared) race.preparing(...prepared);
        race.show(current, measured === true || !current);
        if (phase === "opening") inspector.clear();
        inspector.enabled(step > 0 && (phase === "ready" || phase === "running"));
        if (measured) digit?.refresh();
      },
      onError: (error) => context.fail(error),
    });
    digit = digitView(digits, classify, signal);
    digit.shrink(plan.shrink);
    digitPlace.append(digit.element);
    context.onEngineReplaced((engine) => void controller?.moveTo(engine));
    void controller.reset(plan);
  } catch (error) {
    context.fail(error);
  }
  return { dispose: () => controller?.dispose() };
};

function introduction(): DocumentFragment {
  return fragment(
    element("h2", {}, "Piecewise linear: the approximation"),
    element(
      "p",
      { class: "lead" },
      "With ReLU between its layers a network is linear for each example, but every example has a linear network of its own. One Newton step no longer ends it. It is still the better step.",
    ),
    element(
      "p",
      {},
      "The Hessian of a layer is a sum over the examples i, with ",
      math("A_{i}"),
      " the layer’s inputs and ",
      math("B_{i}"),
      " the derivatives of the outputs. K-FAC replaces the sum of the products by the product of the sums, because that can be inverted one factor at a time:",
    ),
    displayMath(
      "H = Σ_{i} A_{i}A_{i}' ⊗ B_{i}B_{i}' ≈ (Σ_{i} A_{i}A_{i}') ⊗ (Σ_{i} B_{i}B_{i}')",
      "H is the sum over i of A i A i transposed times B i B i transposed, approximately the product of the two sums",
    ),
    element(
      "p",
      {},
      "That would be exact if the two factors were uncorrelated over the examples. Below it is tried out, and then measured.",
    ),
  );
}

function raceText(): HTMLElement {
  return element(
    "p",
    {},
    `Three equal networks, with hidden layers of 64 and 32, learn to read 5,000 handwritten digits, from the same weights and on the same batches, in turns of a few steps. The loss is that of the same ${SAMPLE} training digits, every five steps. Seconds count an optimiser’s own steps only, each turn until its result is back. A K-FAC step does more work: look at both axes.`,
  );
}

function settingsText(): HTMLElement {
  return element(
    "p",
    { class: "note" },
    "How the settings were chosen: K-FAC finds its rate, momentum and damping by itself, from step to step. Adam’s and SGD’s rates are the best of a grid by the loss after 100 and 200 steps, over seeds 1 to 4, with 14 × 14 pixels and batches of 250: Adam’s of nine from 0.001 to 0.04, SGD’s of seven from 0.05 to 0.6. They stay constant; SGD has a momentum of 0.9. For other batches or pixels others may be better. A rate of K-FAC’s that is far too high does no lasting harm: it counts only up to what the step allows, and steps that turn out bad are taken back.",
  );
}

function inspectorText(): DocumentFragment {
  return fragment(
    element(
      "p",
      {},
      "For a small layer the exact H can be computed: the GPU multiplies it by unit matrices, without ever forming it. Beside it stands the Kronecker product of the same batch’s factors. The damping is split between them by π, so that ",
      math("π√λ"),
      " is added to Ā and ",
      math("√λ/π"),
      " to B̄: eigenvalues far below that line hardly count.",
    ),
  );
}
