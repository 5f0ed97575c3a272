// A digit, drawn or picked, and what the three networks make of it.
import { type Digits, images } from "../../assets/digits.js";
import { button, buttonRow, dataTable, element, onThemeChange, percent, uniqueId } from "../../ui/index.js";
import { Ink, normalise, PAD } from "./drawing.js";
import { KINDS, type Kind, TITLES } from "./settings.js";

export interface DigitView {
  readonly element: HTMLElement;
  /** The networks have changed: classify again. */
  refresh(): void;
  /** Images of this shrinking from now on. */
  shrink(shrink: number): void;
}

export type Classify = (image: Float32Array) => Promise<Record<Kind, Float32Array> | undefined>;

export function digitView(digits: Digits, classify: Classify, signal: AbortSignal): DigitView {
  const ink = new Ink();
  let shrink = 2;
  let picked = 0;
  let drawn = false;
  let busy = false;
  let again = false;

  const pad = element("canvas", {
    class: "digit-pad",
    width: PAD,
    height: PAD,
    role: "img",
    "aria-label": "Place to draw a digit with a pointer",
  });
  const seen = element("canvas", { class: "digit-seen", width: 14, height: 14, role: "img" });
  const id = uniqueId("pick");
  const pick = element("input", { id, type: "number", min: 1, max: digits.test.count, step: 1, value: 1 });
  const truth = element("p", { class: "digit-truth", role: "status" });
  const bars = dataTable({
    caption: "Probability of each digit, by network",
    columns: [
      { label: "Digit" },
      ...KINDS.map((kind) => ({ label: TITLES[kind].replace(/,.*/, ""), numeric: true })),
    ],
    hideCaption: true,
  });
  bars.element.classList.add("digit-bars");

  const paint = (canvas: HTMLCanvasElement, values: ArrayLike<number>, side: number) => {
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(canvas);
    const [paper, dark] = [rgbOf(style.backgroundColor), rgbOf(style.color)];
    const image = context.createImageData(side, side);
    for (let k = 0; k < side * side; k++) {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = paper[c]! + (dark[c]! - paper[c]!) * values[k]!;
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };

  /** The image at the file's size, 0 to 1. */
  const current = (): Float32Array | undefined => {
    if (drawn) return normalise(ink.data);
    const size = digits.height * digits.width;
    return Float32Array.from(digits.test.pixels.subarray(picked * size, (picked + 1) * size), (x) => x / 255);
  };

  const refresh = async () => {
    const full = current();
    const side = digits.height / shrink;
    const image = full ? images(full, digits, shrink) : new Float32Array(side * side);
    paint(seen, image, side);
    paint(pad, drawn ? ink.data : enlarged(full!, digits.height), PAD);
    seen.setAttribute(
      "aria-label",
      drawn ? "The drawing as the networks see it" : `Test digit ${picked + 1}`,
    );
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const [asked, ofDrawing] = [picked, drawn];
    try {
      const answers = full ? await classify(image) : undefined;
      // Another digit has been picked meanwhile: these answers are not its own.
      if (picked === asked && drawn === ofDrawing) show(answers);
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      void refresh();
    }
  };

  const show = (answers: Record<Kind, Float32Array> | undefined) => {
    const label = digits.test.labels[picked];
    const say = (text: string) => {
      if (truth.textContent !== text) truth.textContent = text;
    };
    if (!answers) {
      say(drawn ? "Draw a digit, or pick one of the test digits." : `This is a ${label}.`);
      bars.set([]);
      return;
    }
    const best = largest(answers.kfac);
    const taken = `K-FAC’s network takes it for a ${best}, with ${percent(answers.kfac[best]!, 0)}.`;
    say(drawn ? taken : `This is a ${label}. ${taken}`);
    bars.set(
      Array.from({ length: digits.classes }, (_, digit) => [
        String(digit),
        ...KINDS.map((kind) => bar(answers[kind][digit]!, largest(answers[kind]) === digit)),
      ]),
    );
  };

  const choose = (index: number) => {
    picked = ((index % digits.test.count) + digits.test.count) % digits.test.count;
    drawn = false;
    pick.value = String(picked + 1);
    void refresh();
  };
  pick.addEventListener("change", () => {
    const wanted = Math.round(Number(pick.value));
    choose(Number.isFinite(wanted) ? Math.min(digits.test.count, Math.max(1, wanted)) - 1 : picked);
  });

  let last: [number, number] | undefined;
  const place = (event: PointerEvent): [number, number] => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PAD, ((event.clientY - box.top) / box.height) * PAD];
  };
  const draw = (event: PointerEvent) => {
    const next = place(event);
    ink.stroke(...(last ?? next), ...next);
    last = next;
    void refresh();
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    if (!drawn) {
      drawn = true;
      ink.clear();
    }
    // Made-up events have no pointer to capture.
    if (event.isTrusted) pad.setPointerCapture(event.pointerId);
    last = undefined;
    draw(event);
  });
  pad.addEventListener("pointermove", (event) => {
    if (last && event.buttons & 1) draw(event);
  });
  for (const name of ["pointerup", "pointercancel"] as const) {
    pad.addEventListener(name, () => {
      last = undefined;
    });
  }
  onThemeChange(() => void refresh(), signal);

  const controls = buttonRow(
    button({ label: "Previous", onClick: () => choose(picked - 1) }),
    button({ label: "Next", onClick: () => choose(picked + 1) }),
    button({
      label: "Clear",
      onClick: () => {
        drawn = true;
        ink.clear();
        void refresh();
      },
    }),
  );
  const made = element(
    "div",
    { class: "digit" },
    element(
      "div",
      { class: "digit-input" },
      pad,
      element("p", { class: "note" }, "Draw here with a finger, a pen or the mouse."),
      element(
        "div",
        { class: "digit-pick" },
        element("label", { for: id }, `Test digit, 1 to ${digits.test.count}`),
        pick,
      ),
      controls,
    ),
    element(
      "div",
      { class: "digit-output" },
      element("div", { class: "digit-view" }, seen, truth),
      bars.element,
    ),
  );
  choose(0);
  return {
    element: made,
    refresh: () => void refresh(),
    shrink(next) {
      shrink = next;
      void refresh();
    },
  };
}

function bar(value: number, best: boolean): HTMLElement {
  return element(
    "span",
    { class: best ? "digit-bar best" : "digit-bar" },
    element("meter", { min: 0, max: 1, value, "aria-hidden": "true" }),
    element("span", {}, percent(value, 0)),
  );
}

function largest(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}

function enlarged(image: Float32Array, side: number): Float32Array {
  const factor = PAD / side;
  return Float32Array.from({ length: PAD * PAD }, (_, k) => {
    const [y, x] = [Math.floor(k / PAD), k % PAD];
    return image[Math.floor(y / factor) * side + Math.floor(x / factor)]!;
  });
}

/** A colour as numbers, whatever its notation. */
function rgbOf(color: string): number[] {
  const context = document.createElement("canvas").getContext("2d")!;
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)];
}
