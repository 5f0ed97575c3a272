/** The race's bookkeeping, and the measures of its inspector against matrices that are formed. */
import type { GpuDataset } from "kfac-webgpu";
import { describe, expect, test } from "vitest";
import { BatchStream } from "../../../demo/assets/batches.js";
import { Ink, normalise, PAD } from "../../../demo/chapters/race/drawing.js";
import {
  exactBlock,
  kroneckerBlock,
  kroneckerError,
  largestDiagonal,
  relativeDistance,
} from "../../../demo/chapters/race/kronecker-error.js";
import { type Measurement, RaceLog } from "../../../demo/chapters/race/log.js";
import { Pace } from "../../../demo/chapters/race/pace.js";
import { twinBlock } from "../../../demo/chapters/race/twin.js";
import {
  applyGgnBlock,
  batchFactors,
  curvatureRows,
  kronecker,
  linear,
  type Matrix,
  matrix,
  RandomStream,
  relativeError,
} from "../../../src/reference/index.js";

const at = (step: number, loss: number, seconds = step / 10): Measurement => ({
  step,
  loss,
  seconds,
  accuracy: 0.5,
});

describe("the log", () => {
  const filled = () => {
    const log = new RaceLog();
    for (const [step, kfac, adam] of [
      [0, 2, 2],
      [5, 1.5, 1.8],
      [10, 0.4, 0.9],
      [15, 0.2, 0.5],
      [20, 0.1, 0.6],
    ] as const) {
      log.add("kfac", at(step, kfac));
      log.add("adam", at(step, adam, step / 20));
    }
    return log;
  };

  test("lowest, and who came to it when", () => {
    const log = filled();
    expect(log.lowest("adam")).toEqual(at(15, 0.5, 0.75));
    expect(log.reach("kfac", "adam")).toEqual(at(10, 0.4));
    expect(log.reach("adam", "kfac")).toBeUndefined();
    expect(log.lowest("sgd")).toBeUndefined();
    expect(log.reach("kfac", "sgd")).toBeUndefined();
    expect(log.last("sgd")).toBeUndefined();
  });

  test("points by step and by second", () => {
    const log = filled();
    expect(log.points("adam", "step")).toEqual({ x: [0, 5, 10, 15, 20], y: [2, 1.8, 0.9, 0.5, 0.6] });
    expect(log.points("adam", "seconds").x).toEqual([0, 0.25, 0.5, 0.75, 1]);
  });

  test("a resumed race forgets what came after its checkpoint, and goes on", () => {
    const log = filled();
    log.truncate(12);
    expect(log.last("kfac")).toEqual(at(10, 0.4));
    expect(log.last("adam")?.step).toBe(10);
    expect(() => log.add("kfac", at(10, 0.3))).toThrow(RangeError);
    log.add("kfac", at(15, 0.3));
    expect(log.points("kfac", "step").x).toEqual([0, 5, 10, 15]);
    log.clear();
    expect(log.of("kfac")).toEqual([]);
    log.add("kfac", at(0, 2));
  });
});

test("the pace rises while turns are short, to a limit, and falls at once when they are long", () => {
  const pace = new Pace();
  expect(pace.steps).toBe(1);
  for (let k = 0; k < 20; k++) pace.took(3);
  expect(pace.steps).toBe(8);
  pace.took(20);
  expect(pace.steps).toBe(8);
  pace.took(200);
  expect(pace.steps).toBe(4);
  for (let k = 0; k < 5; k++) pace.took(200);
  expect(pace.steps).toBe(1);
});

describe("batches", () => {
  /** Batches of it are the places that were asked for. */
  const data = { count: 10, range: (...places: unknown[]) => places } as unknown as GpuDataset;
  const stream = (size: number, seed: number) => new BatchStream(data, size, seed);

  test("an epoch has every example once, but for what is left over", () => {
    const steps = Array.from({ length: 5 }, (_, step) => stream(4, 7).batch(step));
    expect(stream(4, 7).stepsPerEpoch).toBe(2);
    expect(steps).toEqual([
      [0, 4, { seed: 7, epoch: 0 }],
      [4, 8, { seed: 7, epoch: 0 }],
      [0, 4, { seed: 7, epoch: 1 }],
      [4, 8, { seed: 7, epoch: 1 }],
      [0, 4, { seed: 7, epoch: 2 }],
    ]);
  });

  test.each([0, 11, 2.5])("a batch of %d of 10 is refused", (size) => {
    expect(() => stream(size, 1)).toThrow(RangeError);
  });
});

describe("drawing", () => {
  const centre = (image: Float32Array) => {
    let [mass, x, y] = [0, 0, 0];
    image.forEach((ink, k) => {
      mass += ink;
      x += ink * ((k % 28) + 0.5);
      y += ink * (Math.floor(k / 28) + 0.5);
    });
    return { mass, x: x / mass, y: y / mass };
  };

  test("nothing drawn is no image", () => {
    const ink = new Ink();
    expect(ink.empty).toBe(true);
    expect(normalise(ink.data)).toBeUndefined();
    ink.stroke(50, 50, 50, 50);
    expect(ink.empty).toBe(false);
    ink.clear();
    expect(ink.empty).toBe(true);
  });

  test.each([
    [20, 20, 40, 90],
    [70, 15, 100, 30],
    [5, 100, 107, 108],
  ])("a stroke anywhere is centred by its ink and fits the box: %d, %d to %d, %d", (x0, y0, x1, y1) => {
    const ink = new Ink();
    ink.stroke(x0, y0, x1, y1);
    const image = normalise(ink.data)!;
    expect(image.length).toBe(28 * 28);
    const { x, y } = centre(image);
    expect(x).toBeCloseTo(14, 0);
    expect(y).toBeCloseTo(14, 0);
    const inked = [...image.keys()].filter((k) => image[k]! > 0.5);
    const columns = inked.map((k) => k % 28);
    const rows = inked.map((k) => Math.floor(k / 28));
    const extent = Math.max(
      Math.max(...columns) - Math.min(...columns),
      Math.max(...rows) - Math.min(...rows),
    );
    expect(extent).toBeGreaterThanOrEqual(17);
    expect(extent).toBeLessThanOrEqual(20);
    expect(image.every((value) => value >= 0 && value <= 1 + 1e-6)).toBe(true);
  });

  test("a dot stays a dot", () => {
    const ink = new Ink();
    ink.stroke(10, 10, 10, 10);
    expect(centre(normalise(ink.data)!).mass).toBeLessThan(28);
  });

  test("strokes outside the pad leave no mark", () => {
    const ink = new Ink();
    ink.stroke(-50, -50, -20, PAD + 90);
    expect(ink.empty).toBe(true);
  });
});

describe("the inspector's measures", () => {
  const random = new RandomStream(5);
  const normals = (rows: number, cols: number): Matrix =>
    matrix(
      rows,
      cols,
      Float64Array.from({ length: rows * cols }, () => random.normal()),
    );
  const weights = [normals(5, 7), normals(4, 6)];
  const X = normals(9, 6);
  const network = [linear(weights[0]!), { kind: "relu" as const }, linear(weights[1]!)];
  const rows = curvatureRows(network, "softmaxCrossEntropy", X, { kind: "exact" });
  const factors = batchFactors(rows);

  /** H of a layer, column by column. */
  const formed = (layer: number): Matrix => {
    const { rows: out, cols: inputs } = weights[layer]!;
    const n = out * inputs;
    const H = matrix(n, n);
    for (let k = 0; k < n; k++) {
      const unit = matrix(out, inputs);
      unit.data[(k % out) * inputs + Math.floor(k / out)] = 1;
      const image = applyGgnBlock(rows, layer, unit);
      for (let r = 0; r < n; r++) {
        H.data[r * n + k] = image.data[(r % out) * inputs + Math.floor(r / out)]!;
      }
    }
    return H;
  };

  test.each([0, 1])(
    "the error without forming anything is that of the formed matrices: layer %d",
    (layer) => {
      const H = formed(layer);
      const product = kronecker(factors[layer]!.A, factors[layer]!.B);
      const expected = relativeError(product, H);
      expect(expected).toBeGreaterThan(0.1);
      expect(kroneckerError(rows, layer, factors[layer]!)).toBeCloseTo(expected, 10);
      const all = {
        outputs: [...Array(weights[layer]!.rows).keys()],
        inputs: [...Array(weights[layer]!.cols).keys()],
      };
      expect(relativeDistance(exactBlock(rows, layer, all).data, H.data)).toBeLessThan(1e-12);
      expect(relativeDistance(kroneckerBlock(factors[layer]!, all).data, product.data)).toBeLessThan(1e-12);
    },
  );

  test("a batch of one is a Kronecker product", () => {
    const one = curvatureRows(network, "softmaxCrossEntropy", matrix(1, 6, X.data.slice(0, 6)), {
      kind: "exact",
    });
    expect(kroneckerError(one, 1, batchFactors(one)[1]!)).toBeLessThan(1e-6);
  });

  test("a selection is a part of the whole", () => {
    const selection = { outputs: [1, 3], inputs: [0, 2, 5] };
    const H = formed(1);
    const part = exactBlock(rows, 1, selection);
    expect(part.rows).toBe(6);
    const place = selection.inputs.flatMap((j) => selection.outputs.map((i) => j * 4 + i));
    place.forEach((r, R) => {
      place.forEach((c, C) => {
        expect(part.data[R * 6 + C]).toBeCloseTo(H.data[r * H.cols + c]!, 12);
      });
    });
  });

  test("the largest places of a diagonal, in order", () => {
    const diagonal = [3, 9, 1, 7];
    const S = matrix(4, 4);
    diagonal.forEach((value, i) => {
      S.data[5 * i] = value;
    });
    expect(largestDiagonal(S, 2)).toEqual([1, 3]);
    expect(largestDiagonal(S, 9)).toEqual([0, 1, 2, 3]);
  });

  test("the twin makes the same from f32 weights", () => {
    const found = twinBlock({
      weights: weights.map(({ data }) => Float32Array.from(data)),
      sizes: weights.map((W) => ({ in: W.cols, out: W.rows })),
      inputs: Float32Array.from(X.data),
      count: 9,
      layer: 0,
      selection: { outputs: [0, 2], inputs: [1, 6] },
    });
    expect(found.error).toBeCloseTo(kroneckerError(rows, 0, factors[0]!), 5);
    expect(found.exact.rows).toBe(4);
  });
});
