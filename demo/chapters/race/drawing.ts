// A drawn digit, made to look like the data: fitted into 20 × 20 of 28 × 28 and centred by its ink, as MNIST's are.

/** Side of what is drawn on. */
export const PAD = 112;
/** Side of a digit, and of the box that its ink fills. */
const SIDE = 28;
const BOX = 20;
/** Half the width of a stroke, in pixels of the pad. */
const RADIUS = 5;
/** Points of each pixel of the result, along each side. */
const SAMPLES = 4;

export class Ink {
  /** PAD × PAD numbers from 0 to 1. */
  readonly data = new Float32Array(PAD * PAD);

  get empty(): boolean {
    return this.data.every((ink) => ink === 0);
  }

  clear(): void {
    this.data.fill(0);
  }

  /** A round stroke between two points, in pixels of the pad; a dot where they are one. */
  stroke(x0: number, y0: number, x1: number, y1: number): void {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const squared = dx * dx + dy * dy;
    const reach = RADIUS + 1;
    const first = (a: number, b: number) => Math.max(0, Math.floor(Math.min(a, b) - reach));
    const last = (a: number, b: number) => Math.min(PAD - 1, Math.ceil(Math.max(a, b) + reach));
    for (let y = first(y0, y1); y <= last(y0, y1); y++) {
      for (let x = first(x0, x1); x <= last(x0, x1); x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = squared > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
        const distance = Math.hypot(px - along * dx, py - along * dy);
        const ink = Math.min(1, Math.max(0, RADIUS + 0.5 - distance));
        this.data[y * PAD + x] = Math.max(this.data[y * PAD + x]!, ink);
      }
    }
  }
}

/** The drawing as an image of the data, SIDE × SIDE numbers from 0 to 1; undefined where nothing is drawn. */
export function normalise(ink: Float32Array, side = PAD): Float32Array | undefined {
  let [left, right, top, bottom] = [side, -1, side, -1];
  let [mass, mx, my] = [0, 0, 0];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const value = ink[y * side + x]!;
      if (value <= 0) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      mass += value;
      mx += value * (x + 0.5);
      my += value * (y + 0.5);
    }
  }
  if (mass === 0) return undefined;
  // Pixels of the drawing in one of the result; a dot is not blown up to fill the box.
  const scale = Math.max((right - left + 1) / BOX, (bottom - top + 1) / BOX, side / SIDE / 2);
  const out = new Float32Array(SIDE * SIDE);
  for (let y = 0; y < SIDE * SAMPLES; y++) {
    for (let x = 0; x < SIDE * SAMPLES; x++) {
      const sx = mx / mass + ((x + 0.5) / SAMPLES - SIDE / 2) * scale;
      const sy = my / mass + ((y + 0.5) / SAMPLES - SIDE / 2) * scale;
      const place = Math.floor(y / SAMPLES) * SIDE + Math.floor(x / SAMPLES);
      out[place]! += bilinear(ink, side, sx - 0.5, sy - 0.5) / (SAMPLES * SAMPLES);
    }
  }
  return out;
}

function bilinear(ink: Float32Array, side: number, x: number, y: number): number {
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  const [fx, fy] = [x - x0, y - y0];
  const at = (i: number, j: number) => (i < 0 || j < 0 || i >= side || j >= side ? 0 : ink[j * side + i]!);
  const row = (j: number) => (1 - fx) * at(x0, j) + fx * at(x0 + 1, j);
  return (1 - fy) * row(y0) + fy * row(y0 + 1);
}
