/** Layers, batches and solutions that tests of blocks share. */
import {
  type BlockItem,
  type BlockUpdate,
  Curvature,
  type CurvatureLayer,
  type CurvatureOptions,
  LAYER_STATE_BYTES,
} from "../../src/curvature/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import type { Matrix } from "../../src/reference/matrix.js";
import type { Random, TestContext } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf } from "../network/helpers.js";
import { download } from "./helpers.js";
import { blank, type LayerShape, randomData, store, submit, type TestLayer, testLayer } from "./layers.js";

/** Sizes that are odd and on both sides of a tile's edge, positions one and several; more rows than unknowns of a side. */
export const SHAPES: (LayerShape & { name: string })[] = [
  { name: "plain", in: 7, out: 5, positions: 1, examples: 30, columns: 3 },
  { name: "wide", in: 33, out: 3, positions: 1, examples: 50, columns: 2 },
  { name: "positions", in: 6, out: 9, positions: 4, examples: 20, columns: 2 },
];

/** A batch of each layer. */
export function batchOf(t: TestContext, random: Random, shapes = SHAPES): TestLayer[] {
  return shapes.map((shape) => testLayer(t, shape, randomData(random, shape)));
}

export function updatesOf(batch: readonly TestLayer[]): BlockUpdate[] {
  return batch.map((statistics, layer) => ({ layer, statistics }));
}

export function gradients(random: Random, shapes: readonly { in: number; out: number }[] = SHAPES): Matrix[] {
  return shapes.map(({ in: inputs, out }) => matrixOf(random.normals(out * inputs), out, inputs));
}

/** U of all layers, each in poison of its own. */
export async function solved(
  t: TestContext,
  curvature: Curvature,
  G: readonly Matrix[],
): Promise<Float32Array[]> {
  const items = G.map((own, layer): BlockItem => {
    return { layer, G: store(t, own.data, own.rows, own.cols), into: blank(t, own.rows, own.cols) };
  });
  submit(managerOf(t), (recorder) => curvature.precondition(recorder, items));
  return Promise.all(items.map(({ into }) => download(t, into)));
}

export async function statusOf(manager: PipelineManager, curvature: Curvature) {
  const recorder = manager.record();
  const bytes = recorder.read(curvature.state, 0, curvature.layers.length * LAYER_STATE_BYTES);
  recorder.submit();
  return curvature.decode(await bytes);
}

export async function withCurvature<T>(
  t: TestContext,
  layers: readonly CurvatureLayer[],
  options: CurvatureOptions,
  body: (curvature: Curvature) => Promise<T>,
): Promise<T> {
  const curvature = new Curvature(managerOf(t), layers, options);
  try {
    return await body(curvature);
  } finally {
    curvature.dispose();
  }
}

export const isZero = (numbers: Float32Array) => numbers.every((x) => x === 0);

/** ‖X − H‖/‖H‖ */
export function distance(X: ArrayLike<number>, H: ArrayLike<number>): number {
  let [gap, size] = [0, 0];
  for (let k = 0; k < H.length; k++) {
    gap += (X[k]! - H[k]!) ** 2;
    size += H[k]! ** 2;
  }
  return Math.sqrt(gap / size);
}

export const MIXED: CurvatureLayer[] = [
  { name: "a", in: 7, out: 5 },
  { name: "b", in: 33, out: 3 },
  { name: "c", in: 6, out: 9, withoutKronecker: "a kind without" },
];
