// The loss as a landscape, with the two paths in it.
import {
  cssColor,
  currentTheme,
  detailsTable,
  element,
  inNextFrame,
  number,
  onThemeChange,
} from "../../ui/index.js";
import type { Plane, Point } from "./plane.js";

export interface Contours {
  readonly element: HTMLElement;
  set(scene: { plane: Plane; descent: readonly Point[]; newton: readonly Point[] }): void;
  /** How many steps of gradient descent are drawn. */
  show(steps: number): void;
}

type Scene = Parameters<Contours["set"]>[0];

const WIDTH = 720;
const HEIGHT = 490;
/** Level lines; from one to the next the loss above the minimum changes by √10. */
const LINES_PER_DECADE = 2;
/** So many lines further in, it does not get darker any more. */
const DEEPEST = 10;
/** Pixels. */
const LONGEST = 1e5;

export function contours(options: { title: string; signal?: AbortSignal }): Contours {
  const { title, signal } = options;
  const canvas = element("canvas", { class: "contours-canvas", role: "img", width: WIDTH, height: HEIGHT });
  let scene: Scene | undefined;
  let shown = 0;
  let frame: Frame | undefined;

  const table = detailsTable(title, () => {
    const rows = (scene?.descent ?? [])
      .slice(0, 41)
      .map((point, step) => ["gradient descent", step, ...cells(point)]);
    const newton = (scene?.newton ?? []).map((point, step) => ["Newton", step, ...cells(point)]);
    return {
      columns: [
        { label: "method" },
        { label: "step", numeric: true },
        { label: "along Newton's step", numeric: true },
        { label: "across", numeric: true },
        { label: "loss above the minimum", numeric: true },
      ],
      rows: [...newton, ...rows],
      note: "Positions in the plane of the picture; the minimum is at 0, 0. The first 40 steps of gradient descent.",
    };
  });
  const cells = (point: Point) => [
    number(point[0]),
    number(point[1]),
    number(scene?.plane.excess(point) ?? 0),
  ];

  const draw = () => {
    const context = canvas.getContext("2d");
    if (!scene || !frame || !context) return;
    // Canvas pixels to one of the page, so that lines and letters look the same on a phone.
    const unit = WIDTH / Math.max(200, canvas.clientWidth || WIDTH);
    const { toPixel } = frame;
    landscape(context, scene.plane, frame, unit);
    const descent = scene.descent.slice(0, shown + 1);
    path(context, descent.map(toPixel), cssColor("--series-2"), 1.25 * unit);
    for (const point of descent) spot(context, toPixel(point), cssColor("--series-2"), 1.75 * unit);
    path(context, scene.newton.map(toPixel), cssColor("--series-1"), 2.5 * unit);
    spot(context, toPixel(scene.newton[0]!), cssColor("--ink"), 4.5 * unit);
    spot(context, toPixel(scene.newton.at(-1)!), cssColor("--series-1"), 5 * unit);
    label(context, "start", toPixel(scene.newton[0]!), unit);
    label(context, "minimum", toPixel([0, 0]), unit);
    const last = descent.at(-1)!;
    canvas.setAttribute(
      "aria-label",
      `${title}. Newton's step ends ${number(Math.hypot(...scene.newton.at(-1)!))} from the minimum, ` +
        `gradient descent after ${descent.length - 1} steps ${number(Math.hypot(...last))}, ` +
        `both having started ${number(Math.hypot(...scene.newton[0]!))} from it.`,
    );
  };
  onThemeChange(draw, signal);
  // Lines and letters keep their size on the page when it changes its width.
  const observer = new ResizeObserver(inNextFrame(draw));
  observer.observe(canvas);
  signal?.addEventListener("abort", () => observer.disconnect(), { once: true });

  const swatch = (series: 1 | 2, text: string) =>
    element(
      "li",
      {},
      element("span", { class: `contours-swatch contours-swatch-${series}`, "aria-hidden": "true" }),
      text,
    );
  return {
    element: element(
      "figure",
      { class: "contours" },
      element("figcaption", {}, title),
      element("ul", { class: "legend" }, swatch(1, "Newton, one step"), swatch(2, "Gradient descent")),
      canvas,
      element(
        "p",
        { class: "note" },
        "A line stands for half a power of ten. After its first step gradient descent leaves the plane: what is drawn is its shadow.",
      ),
      table.element,
    ),
    set(next) {
      // Newton's end hardly moves when the GPU's answer replaces the reference's: the frame stays where it is.
      if (next.plane !== scene?.plane) frame = frameOf(next);
      scene = next;
      table.refresh();
      draw();
    },
    show(steps) {
      shown = steps;
      draw();
    },
  };
}

interface Frame {
  /** Of the plane's lengths. */
  perPixel: number;
  toPixel(point: Point): Point;
  toPlane(pixel: Point): Point;
}

/** Everything that is drawn, with a margin, the same scale in both directions. */
function frameOf({ descent, newton }: Scene): Frame {
  const all = [...descent, ...newton, [0, 0] as Point];
  const box = (axis: 0 | 1) => {
    const values = all.map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)] as const;
  };
  const [[left, right], [bottom, top]] = [box(0), box(1)];
  const perPixel = Math.max((right - left) / (0.74 * WIDTH), (top - bottom) / (0.7 * HEIGHT), 1e-12);
  const [middleX, middleY] = [(left + right) / 2, (bottom + top) / 2];
  return {
    perPixel,
    toPixel: ([x, y]) => [WIDTH / 2 + (x - middleX) / perPixel, HEIGHT / 2 - (y - middleY) / perPixel],
    toPlane: ([u, v]) => [middleX + (u - WIDTH / 2) * perPixel, middleY - (v - HEIGHT / 2) * perPixel],
  };
}

/** Bands of the loss's logarithm, darker towards the minimum, with lines between them. */
function landscape(context: CanvasRenderingContext2D, plane: Plane, frame: Frame, lineWidth: number): void {
  const dark = currentTheme() === "dark";
  const shade = (level: number) => {
    const depth = Math.min(1, Math.max(0, (highest - level) / DEEPEST));
    const [from, to] = dark
      ? [
          [28, 31, 36],
          [54, 65, 86],
        ]
      : [
          [250, 249, 245],
          [198, 209, 227],
        ];
    return `rgb(${from!.map((value, c) => value + depth * (to![c]! - value)).join(" ")})`;
  };
  const corners = [0, WIDTH].flatMap((u) => [0, HEIGHT].map((v) => plane.excess(frame.toPlane([u, v]))));
  const highest = LINES_PER_DECADE * Math.log10(Math.max(...corners));
  context.fillStyle = shade(Math.floor(highest));
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.strokeStyle = dark ? "#68707e" : "#a4a094";
  context.lineWidth = lineWidth;
  const [x, y] = frame.toPixel([0, 0]);
  // From the outermost inwards, each over the one before.
  for (let level = Math.floor(highest); ; level--) {
    const { long, short, angle } = plane.levelSet(10 ** (level / LINES_PER_DECADE));
    const [a, b] = [long / frame.perPixel, short / frame.perPixel];
    if (!(a > 1 && b > 0.05)) break;
    context.beginPath();
    // The picture's y points down. Within the frame an ellipse this long is two straight lines.
    context.ellipse(x, y, Math.min(a, LONGEST), b, -angle, 0, 2 * Math.PI);
    context.fillStyle = shade(level - 1);
    context.fill();
    // Lines fade where they would run into each other.
    context.globalAlpha = Math.min(1, b / (8 * lineWidth));
    context.stroke();
    context.globalAlpha = 1;
  }
}

function path(
  context: CanvasRenderingContext2D,
  points: readonly Point[],
  color: string,
  width: number,
): void {
  context.lineJoin = "round";
  context.lineWidth = width;
  context.strokeStyle = color;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}

function spot(context: CanvasRenderingContext2D, [x, y]: Point, color: string, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

function label(context: CanvasRenderingContext2D, text: string, [x, y]: Point, unit: number): void {
  context.font = `${13 * unit}px system-ui, sans-serif`;
  context.textAlign = x > WIDTH * 0.8 ? "right" : "left";
  context.lineWidth = 3 * unit;
  context.strokeStyle = cssColor("--paper");
  context.fillStyle = cssColor("--ink");
  const right = context.textAlign === "right";
  const [left, top] = [x + (right ? -8 : 8) * unit, y > 40 * unit ? y - 9 * unit : y + 20 * unit];
  context.strokeText(text, left, top);
  context.fillText(text, left, top);
}
