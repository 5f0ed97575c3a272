// Chapter 3: the convolution, whose Hessian is a sum of Kronecker products that no product of inverses solves.
import "./style.css";
import type { Engine } from "kfac-webgpu";
import type { Examples } from "../../assets/batches.js";
import { examplesOf, fetchDigits } from "../../assets/load.js";
import { displayMath, element, fragment, type Mount, math, progress } from "../../ui/index.js";
import { askOnce } from "../../ui/worker.js";
import { problemControls } from "./controls.js";
import { PROBLEM, type Problem } from "./problem.js";
import { resultsView } from "./results-view.js";
import { study } from "./study.js";
import type { TwinStudy } from "./twin.js";

/** Milliseconds without a change after which a new setting is computed. */
const QUIET = 250;

export const mount: Mount = async (root, context) => {
  const { signal } = context;
  let problem = PROBLEM;
  let digits: Awaited<ReturnType<typeof fetchDigits>> | undefined;
  let running: AbortController | undefined;
  /** Runs follow one another, so that two never share the GPU. */
  let last: Promise<void> = Promise.resolve();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const bar = progress({ label: "Computing" });
  const results = resultsView(signal);
  const controls = problemControls(problem, (next) => {
    problem = next;
    clearTimeout(timer);
    timer = setTimeout(compute, QUIET);
  });
  root.append(
    introduction(),
    element(
      "section",
      { class: "convolution" },
      element("h3", {}, "One kernel, measured"),
      setting(),
      controls,
      bar.element,
      results.element,
    ),
    reading(),
  );

  const compute = () => {
    running?.abort(new DOMException("another setting was chosen", "AbortError"));
    const own = new AbortController();
    running = own;
    last = last.then(() => run(problem, AbortSignal.any([signal, own.signal])));
  };

  const run = async (wanted: Problem, stop: AbortSignal): Promise<void> => {
    if (stop.aborted || !digits) return;
    delete bar.element.dataset.idle;
    try {
      const engine: Engine = await context.engine();
      const examples: Examples = examplesOf(digits.train, digits, 28 / wanted.side);
      const found = await study(engine, examples, wanted, { signal: stop, onProgress: bar.update });
      stop.throwIfAborted();
      results.show(found);
      bar.update(1, 1, "The same in f64, on the CPU");
      const { weights, inputs, labels } = found;
      const worker = new Worker(new URL("./twin-worker.ts", import.meta.url), { type: "module" });
      const request = { problem: wanted, input: { weights, inputs, labels } };
      results.check(found, await askOnce<TwinStudy>(worker, request, stop));
      bar.update(1, 1, "");
      bar.element.dataset.idle = "";
    } catch (error) {
      context.fail(error);
    }
  };

  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  context.onEngineReplaced(compute);
  try {
    digits = await fetchDigits(signal);
    compute();
  } catch (error) {
    context.fail(error);
  }
  return { dispose: () => clearTimeout(timer) };
};

function introduction(): DocumentFragment {
  return fragment(
    element("h2", {}, "Convolution: where the inverse stops distributing"),
    element(
      "p",
      { class: "lead" },
      "A convolution uses one small kernel at every position. Its Hessian is a sum of Kronecker products again, this time for a single example, and no product of inverses solves it.",
    ),
    element(
      "p",
      {},
      "Written as a matrix product, the convolution’s large W repeats the kernel U: ",
      math("vec(W) = T vec(U)"),
      ". The chain rule puts T on both sides of the Hessian, and what comes out has a term for every pair of positions t, s:",
    ),
    displayMath(
      "H_{u} = T'(AA' ⊗ BB')T = Σ_{ts} Ω_{ts} ⊗ Γ_{ts}",
      "H u is T transposed times A A transposed times B B transposed times T, a sum over t and s of Omega t s times Gamma t s",
    ),
    element(
      "p",
      {},
      "Were W only a product ",
      math("KU"),
      " with a fixed K, one term would do: ",
      math("AA' ⊗ K'BB'K"),
      ", whose inverse does distribute. Weights that are shared over positions are not of that form.",
    ),
    element(
      "p",
      {},
      "But H can be multiplied by, without forming it: one pass like the convolution’s, and its adjoint. With that, conjugate gradients find the exact step, and every approximation can be held against the truth, and used to reach it in fewer iterations.",
    ),
  );
}

function setting(): HTMLElement {
  return element(
    "p",
    {},
    "A network of two convolutions and a dense layer, trained on small digits for a few K-FAC steps. Below is the second convolution’s exact Hessian over 32 digits, formed column by column on the GPU, beside five approximations that are cheap to invert.",
  );
}

function reading(): HTMLElement {
  return element(
    "section",
    {},
    element("h3", {}, "What to look for"),
    element(
      "ul",
      {},
      element(
        "li",
        {},
        "None wins everywhere. A small error in H need not mean a good step, because the damping counts too.",
      ),
      element(
        "li",
        {},
        "Have the positions averaged before the classes: the derivatives then agree over positions. KFC comes out many times too small (compare the sizes), and reduce is the nearer product. Where they are kept, neither is safe: which of them is nearer changes as the network trains.",
      ),
      element(
        "li",
        {},
        "EKFAC keeps KFC’s eigenvectors and refits the values, so its error is never above KFC’s. KFOC, by power iteration, is the nearest single product; what it misses, no product has.",
      ),
      element(
        "li",
        {},
        "Compare 0 steps of training with 100. At the start most preconditioners save iterations; after training, plain conjugate gradients may be as fast. With much damping they are.",
      ),
    ),
  );
}
