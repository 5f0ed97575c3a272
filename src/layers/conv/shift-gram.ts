import tgpu, { d } from "typegpu";
import code from "../../../shaders/shift_gram.wgsl?raw";
import type { Capabilities } from "../../device/index.js";
import {
  asked,
  copyStrided,
  group,
  type Matrix,
  multiplyPacked,
  type PackedProduct,
  padded,
  paddedView,
  partition,
  type Room,
  type Steps,
  type StridedCopy,
} from "../../linalg/index.js";
import { lowerArea, tileShape } from "../../linalg/products/choice.js";
import { tilesOf } from "../../linalg/products/tiles.js";
import { defineKernel, type Recorder } from "../../pipeline/index.js";
import type { ConvGeometry } from "./geometry.js";
import { recordPatches } from "./patches.js";

export const ShiftGramProblem = d.struct({
  first: d.u32,
  channels: d.u32,
  pixel: d.u32,
  height: d.u32,
  width: d.u32,
  outHeight: d.u32,
  outWidth: d.u32,
  kernel: d.vec2u,
  padding: d.vec2u,
  edge: d.u32,
  bias: d.u32,
  count: d.f32,
  correlationOffset: d.u32,
  sumOffset: d.u32,
  sumStride: d.u32,
  sOffset: d.u32,
  sStride: d.u32,
});

export const shiftGramLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(ShiftGramProblem), access: "readonly", visibility: ["compute"] },
    correlations: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    s: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const shiftGramKernel = defineKernel({
  name: "shift_gram",
  code,
  layout: shiftGramLayout,
  rowwise: true,
});

/** Terms that one thread adds up one after another at most: few enough to keep the rounding error of long sums small. */
const LONGEST = 8192;

/** Work on one number outside of the products, in multiplications within them; measured on software adapters. */
const NUMBER = 100;

/** One product of a line: all its pixels (`part` 0), or those of one edge column. */
interface Correlation {
  y: number;
  deltaY: number;
  part: number;
}

/**
 * Σ aa' over the patches a of a convolution with stride 1, without the patches: a product of two taps depends on the
 * distance between them but for the border, so (2kₓ − 1)·k_y correlations between channels take the place of
 * (kₓk_y)²/2. Each image line is correlated with those below it, by the product kernel, over all images at once; edge columns
 * are correlated again alone, and taken off where a tap does not reach them.
 */
export class ShiftGram {
  readonly #geometry: ConvGeometry;
  /** Numbers of a pixel, padded; pixels of a line, with zeros enough for a tap to run into. */
  readonly #pixel: number;
  readonly #pitch: number;
  /** Columns at either side that some tap does not reach. */
  readonly #edge: number;
  readonly #products: readonly Correlation[];

  /** Whether the form exists for a convolution: stride 1, no dilation, one group. */
  static fits({ stride, dilation, groups }: ConvGeometry): boolean {
    return [...stride, ...dilation].every((value) => value === 1) && groups === 1;
  }

  constructor(geometry: ConvGeometry) {
    const { input, kernel, padding } = geometry;
    this.#geometry = geometry;
    this.#pixel = padded(input.channels);
    this.#pitch = input.width + kernel[1] - 1;
    this.#edge = Math.min(Math.max(kernel[1] - 1 - padding[1], 0), input.width);
    const products: Correlation[] = [];
    for (let y = 0; y < input.height; y++) {
      for (let deltaY = 0; deltaY < kernel[0] && y + deltaY < input.height; deltaY++) {
        for (let part = 0; part <= 2 * this.#edge; part++) products.push({ y, deltaY, part });
      }
    }
    this.#products = products;
  }

  /** Whether this way to the sum of `count` examples is shorter than by patches. */
  pays(capabilities: Capabilities, count: number): boolean {
    const { input, positions, features, bias } = this.#geometry;
    const size = features + (bias ? 1 : 0);
    const patches = count * positions * (lowerArea(capabilities, size, count * positions) + NUMBER * size);
    // A number of the result is put together from a line's correlation, and edges of it, for each line. The bias's sums
    // read every patch's numbers, which is half of what making them is.
    const assembly = size * size * input.height;
    const sums = bias ? (count * positions * features) / 2 : 0;
    return this.#work(capabilities, count) + NUMBER * (assembly + sums) < patches;
  }

  /** Most examples that are taken together, with at most so many elements in one buffer; 0 where that is too few. */
  examples(elements: number): number {
    if (this.#correlationLength + this.#sumLength > elements) return 0;
    const [fixed, each] = [this.#operandLength(0), this.#operandLength(1) - this.#operandLength(0)];
    return Math.floor(Math.min(LONGEST / this.#pitch, (elements - fixed) / each));
  }

  /**
   * The steps of `into` ← Σ aa', with the bias's 1 if there is one: features (+ 1) square with aligned rows.
   *
   * @param source pixels of the images, one a row, (i · H + y) · W + x, without gaps
   * @param most examples to take together, at least 1
   */
  *steps(recorder: Recorder, source: Matrix, count: number, into: Matrix, most: number): Steps {
    const { bias, positions, features } = this.#geometry;
    const operands = yield this.#operandLength(Math.min(most, count));
    const results = yield this.#correlationLength + this.#sumLength;
    const sums = paddedView(results.buffer, results.offset + this.#correlationLength, this.#size, 4);
    for (let first = 0; first < count; first += most) {
      const examples = Math.min(most, count - first);
      const beta = first > 0 ? 1 : 0;
      const { images, copies } = this.#spread(recorder, source, first, examples, operands);
      yield asked(copyStrided, copies);
      const products = this.#correlations(images, examples, results, beta);
      if (bias) {
        const means = paddedView(
          operands.buffer,
          operands.offset + this.#imageLength(examples),
          examples,
          this.#size,
        );
        recordPatches(recorder, "means", this.#geometry, { first, rows: examples }, source, means);
        products.push(this.#sumOfPatches(means, sums, beta));
      }
      yield asked(multiplyPacked, products);
    }
    const { input, output, kernel, padding } = this.#geometry;
    const problem = {
      channels: input.channels,
      pixel: this.#pixel,
      height: input.height,
      width: input.width,
      outHeight: output.height,
      outWidth: output.width,
      kernel: d.vec2u(...kernel),
      padding: d.vec2u(...padding),
      edge: this.#edge,
      bias: bias ? 1 : 0,
      count: count * positions,
      correlationOffset: results.offset,
      sumOffset: sums.offset + (features % 4),
      sumStride: sums.stride,
      sOffset: into.offset,
      sStride: into.stride,
    };
    yield asked(assemble, [{ problem, correlations: results.buffer, s: into.buffer }]);
  }

  /** Multiplications of the products, those of a tile's unused numbers with them. */
  #work(capabilities: Capabilities, count: number): number {
    const { channels } = this.#geometry.input;
    const sizes = this.#products.map((product) => {
      const k = count * (product.part === 0 ? this.#pitch : 1);
      return { m: channels, n: this.#columns(product), k };
    });
    const tile = tileShape(capabilities, sizes);
    const tilesByTerms = sizes.reduce((sum, { m, n, k }) => sum + tilesOf(tile, m, n) * k, 0);
    return tilesByTerms * tile.rows * tile.cols;
  }

  get #slot(): number {
    return this.#geometry.input.channels * (2 * this.#geometry.kernel[1] - 1) * this.#pixel;
  }

  get #correlationLength(): number {
    return this.#geometry.input.height * this.#geometry.kernel[0] * (1 + 2 * this.#edge) * this.#slot;
  }

  /** Numbers of Σ a, in four columns. */
  get #sumLength(): number {
    return this.#geometry.bias ? 4 * this.#size : 0;
  }

  /** Columns of a patch. */
  get #size(): number {
    return this.#geometry.features + (this.#geometry.bias ? 1 : 0);
  }

  /** Numbers of the images and of their mean patches. */
  #operandLength(count: number): number {
    return this.#imageLength(count) + (this.#geometry.bias ? count * padded(this.#size) : 0);
  }

  #imageLength(count: number): number {
    return (this.#geometry.input.height * count + 2) * this.#pitch * this.#pixel;
  }

  /** Columns of a product: channels at each distance that is needed along the line. */
  #columns({ deltaY }: Correlation): number {
    const reach = this.#geometry.kernel[1];
    return (deltaY === 0 ? reach : 2 * reach - 1) * this.#pixel;
  }

  /** The images line by line, (y, i, x), between zeros: a pixel's partner is always so many rows away. */
  #spread(
    recorder: Recorder,
    source: Matrix,
    first: number,
    count: number,
    { buffer, offset }: Room,
  ): { images: Matrix; copies: StridedCopy[] } {
    const { height, width } = this.#geometry.input;
    const [pixel, pitch] = [this.#pixel, this.#pitch];
    recorder.clear(buffer, 4 * offset, 4 * this.#imageLength(count));
    const start = offset + pitch * pixel;
    const copies = [
      {
        source: {
          buffer: source.buffer,
          offset: source.offset + first * height * width * pixel,
          batch: width * pixel,
          row: height * width * pixel,
          col: 1,
        },
        target: { buffer, offset: start, batch: count * pitch * pixel, row: pitch * pixel, col: 1 },
        batch: height,
        rows: count,
        cols: width * pixel,
      },
    ];
    const [rows, cols] = [height * count * pitch, this.#geometry.input.channels];
    return { images: { buffer, offset: start, rows, cols, stride: pixel }, copies };
  }

  #correlations(images: Matrix, count: number, into: Room, beta: number): PackedProduct[] {
    const { input, kernel } = this.#geometry;
    const [pixel, pitch, edge] = [this.#pixel, this.#pitch, this.#edge];
    const reach = kernel[1] - 1;
    return this.#products.map((product) => {
      const { y, deltaY, part } = product;
      const x = part === 0 ? 0 : part <= edge ? part - 1 : input.width - 1 - 2 * edge + part;
      const rows = part === 0 ? count * pitch : count;
      const stride = part === 0 ? pixel : pitch * pixel;
      const left = deltaY === 0 ? 0 : -reach;
      const start = (y * count * pitch + x) * pixel;
      const partner = start + (deltaY * count * pitch + left) * pixel;
      const slot = ((y * kernel[0] + deltaY) * (1 + 2 * edge) + part) * this.#slot;
      const cols = this.#columns(product);
      return {
        A: { ...images, offset: images.offset + start, rows, stride },
        // Rows overlap: a row is the pixels from the leftmost partner to the rightmost.
        B: { ...images, offset: images.offset + partner, rows, cols, stride },
        C: {
          buffer: into.buffer,
          offset: into.offset + slot + (left + reach) * pixel,
          rows: input.channels,
          cols,
          stride: (2 * reach + 1) * pixel,
        },
        transposed: false,
        alpha: 1,
        beta,
      };
    });
  }

  /** Adds Σ a to a column of `sums`: means over positions, times their 1, over examples. */
  #sumOfPatches(means: Matrix, sums: Matrix, beta: number): PackedProduct {
    const size = sums.rows;
    const last = size - 1 - ((size - 1) % 4);
    const B = { ...means, offset: means.offset + last, cols: size - last };
    const C = { ...sums, cols: size - last };
    return { A: means, B, C, transposed: false, alpha: this.#geometry.positions, beta };
  }
}

/** What `shift_gram` puts together of one convolution. */
interface Assembly {
  readonly problem: Omit<d.Infer<typeof ShiftGramProblem>, "first">;
  readonly correlations: GPUBuffer;
  readonly s: GPUBuffer;
}

/** Records the matrices of several convolutions, one dispatch for all that share their buffers. */
function assemble(recorder: Recorder, all: readonly Assembly[]): void {
  for (const part of partition(all, ({ correlations, s }) => [correlations, s])) {
    const { rows, groups } = group(
      part.map(({ problem }) => problem),
      ({ channels, kernel, bias }) => channels * kernel.x * kernel.y + bias,
    );
    const { correlations, s } = part[0]!;
    const problems = recorder.manager.table(ShiftGramProblem, rows);
    recorder.dispatch(shiftGramKernel, { problems, correlations, s }, groups);
  }
}
