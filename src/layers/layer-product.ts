import tgpu, { d } from "typegpu";
import code from "../../shaders/layer_product.wgsl?raw";
import slicedCode from "../../shaders/layer_product_sliced.wgsl?raw";
import subgroup4Code from "../../shaders/layer_product_subgroup4.wgsl?raw";
import subgroup8Code from "../../shaders/layer_product_subgroup8.wgsl?raw";
import workgroup64Code from "../../shaders/layer_product_workgroup64.wgsl?raw";
import workgroup128Code from "../../shaders/layer_product_workgroup128.wgsl?raw";
import { group, type Matrix, partition } from "../linalg/index.js";
import { tileShape } from "../linalg/products/choice.js";
import { productKernel, tilesOf } from "../linalg/products/tiles.js";
import { defineKernel, type Recorder, withConstants } from "../pipeline/index.js";
import { ACTIVATION_CODES, type ActivationName } from "./names.js";

export const LayerProductProblem = d.struct({
  first: d.u32,
  tileCols: d.u32,
  m: d.u32,
  n: d.u32,
  k: d.u32,
  weightOffset: d.u32,
  weightStride: d.u32,
  inputOffset: d.u32,
  inputStride: d.u32,
  rowsOffset: d.u32,
  rowsStride: d.u32,
  adds: d.u32,
  turns: d.u32,
  turnedOffset: d.u32,
  turnedStride: d.u32,
  kind: d.u32,
  slope: d.f32,
  derivative: d.u32,
  examples: d.u32,
  firstRow: d.u32,
  valueOffset: d.u32,
  valueStride: d.u32,
});

export const layerProductLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(LayerProductProblem), access: "readonly", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    inputs: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    rows: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    turned: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const form = (name: string, code: string) => defineKernel({ name, code, layout: layerProductLayout });
const forms = {
  registers: form("layer_product", code),
  subgroup4: form("layer_product_subgroup4", subgroup4Code),
  subgroup8: form("layer_product_subgroup8", subgroup8Code),
  workgroup64: form("layer_product_workgroup64", workgroup64Code),
  workgroup128: form("layer_product_workgroup128", workgroup128Code),
  sliced: form("layer_product_sliced", slicedCode),
};

/** An element-wise function φ. */
export interface Activation {
  readonly kind: ActivationName;
  /** Of leakyRelu, below zero. */
  readonly slope: number;
}

/**
 * A product of a layer with what it reads, of packed operands: P = A'X, and of it what is left. The layers' products write each
 * example's results as a row, which is what gradients and Gram matrices read, but read examples as columns.
 */
export interface LayerProduct {
  /** A, k × m: W' on the way forward, W on the way back. */
  readonly weights: Matrix;
  /** X, k × n, an example (or position) a column. */
  readonly inputs: Matrix;
  /** Receives the result, n × m. */
  readonly rows: Matrix;
  /** Receives it too, m × n, where a product reads that next; may lie in the buffer of `inputs`, elsewhere. */
  readonly turned?: Matrix | undefined;
  /** Whether P is added to what is in `rows`; defaults to false. */
  readonly adds?: boolean;
  /** φ, which the result is of P; by default P itself. */
  readonly activation?: Activation | undefined;
  /**
   * With φ's results A, a row an example, the result is P ∘ φ' instead: P is of derivatives. Several blocks of those may lie
   * under each other.
   */
  readonly values?: Matrix | undefined;
  /** Which row of the blocks the first one here is; defaults to 0. */
  readonly first?: number;
}

/**
 * Whether each block of `count` of so many rows may have a product of its own that leaves its transpose beside the others': they write
 * four columns at a time.
 */
export function beginAligned(count: number, rows: number): boolean {
  return rows === count || count % 4 === 0;
}

/** Records products of layers, one dispatch for all that share their buffers; checks nothing. */
export function layerProducts(recorder: Recorder, products: readonly LayerProduct[]): void {
  const { manager } = recorder;
  for (const part of partition(bound(products), ({ buffers }) => Object.values(buffers))) {
    const { buffers } = part[0]!;
    const tile = tileShape(
      manager.handle.capabilities,
      part.map(({ product: { weights, inputs } }) => ({ m: weights.cols, n: inputs.cols, k: weights.rows })),
    );
    const { rows, groups } = group(
      part.map(({ product }) => ({
        tileCols: Math.ceil(product.inputs.cols / tile.cols),
        ...problemOf(product),
      })),
      ({ m, n }) => tilesOf(tile, m, n),
    );
    const inPlace = buffers.inputs === buffers.turned;
    recorder.dispatch(
      withConstants(productKernel(forms, tile), { IN_PLACE: inPlace ? 1 : 0 }),
      {
        problems: manager.table(LayerProductProblem, rows),
        ...buffers,
        // A buffer may not be bound to be read and to be written.
        inputs: inPlace ? buffers.weights : buffers.inputs,
      },
      groups,
    );
  }
}

/** The products with their buffers. Where a product has no transpose or no values, those of its likes stand in. */
function bound(products: readonly LayerProduct[]) {
  return products.map((product) => {
    const likes = products.filter((other) =>
      (["weights", "inputs", "rows"] as const).every((name) => other[name].buffer === product[name].buffer),
    );
    const ask = (name: "turned" | "values") =>
      [product, ...likes].map((one) => one[name]?.buffer).find((buffer) => buffer !== undefined);
    const [weights, inputs, rows] = [product.weights.buffer, product.inputs.buffer, product.rows.buffer];
    const buffers = {
      weights,
      inputs,
      values: ask("values") ?? weights,
      rows,
      turned: ask("turned") ?? inputs,
    };
    return { product, buffers };
  });
}

function problemOf({ weights, inputs, rows, turned, adds, activation, values, first = 0 }: LayerProduct) {
  return {
    m: weights.cols,
    n: inputs.cols,
    k: weights.rows,
    weightOffset: weights.offset / 4,
    weightStride: weights.stride / 4,
    inputOffset: inputs.offset / 4,
    inputStride: inputs.stride / 4,
    rowsOffset: rows.offset / 4,
    rowsStride: rows.stride / 4,
    adds: adds ? 1 : 0,
    turns: turned ? 1 : 0,
    turnedOffset: (turned?.offset ?? 0) / 4,
    turnedStride: (turned?.stride ?? 0) / 4,
    kind: activation ? ACTIVATION_CODES[activation.kind] : 0,
    slope: activation?.slope ?? 0,
    derivative: values ? 1 : 0,
    examples: values?.rows ?? 1,
    firstRow: first,
    valueOffset: (values?.offset ?? 0) / 4,
    valueStride: (values?.stride ?? 0) / 4,
  };
}
