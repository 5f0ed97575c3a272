/** What the tests of matrix operations share: matrices amid poison, and comparison with the f64 reference. */
import type { DeviceHandle } from "../../src/device/index.js";
import type { Engine } from "../../src/engine.js";
import type { MatrixView } from "../../src/linalg/index.js";
import { forceTile } from "../../src/linalg/products/choice.js";
import type { TileName } from "../../src/linalg/products/tiles.js";
import { PipelineManager, type Recorder } from "../../src/pipeline/index.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { Skipped } from "../harness/context.js";
import {
  assert,
  assertEqual,
  assertThrows,
  kernelTest,
  POISON,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";

/** Half a unit in the last place of f32: the relative error of one rounding. */
export const EPS = 2 ** -24;

/** What tile and vector edges of the kernels make of small sizes. */
export const SMALL = [1, 2, 3, 4, 5, 7, 8, 9] as const;
/** Round the edges of larger tiles. */
export const LARGE = [31, 32, 33, 63, 64, 65, 127, 128, 129] as const;

/** Lengths of sums: round the rows that kernels multiply at a time, and several times as many. */
export const COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 40] as const;

/** Elements of poison behind the last matrix: more than a kernel that reads whole blocks of rows may come to. */
export const POISONED = 16 * 64;

export function managerOf(t: TestContext): PipelineManager {
  return (t.engine as Engine).manager;
}

/** A manager that takes this adapter for one of the other kind, so that both choices of tiles are tested everywhere. */
export function otherTiles(t: TestContext): PipelineManager {
  return disguised(t, !managerOf(t).handle.capabilities.software);
}

/** Ends a test of forms for GPUs, which take long to compile, where Chromium runs it on the same adapter. */
export function leaveToChromium(t: TestContext): void {
  if (t.driver === "swiftshader") throw new Skipped("for GPUs; Chromium runs it on SwiftShader");
}

/** Tiles that every device can run. The others are for devices with subgroups of their size, which use them by default. */
const TILES_EVERYWHERE = ["registers", "workgroup64", "workgroup128", "sliced"] as const;

/** Of cases larger than a small tile, as many as a test has time for. */
export type Some = <T>(cases: readonly T[]) => readonly T[];

/** One test for each form and tile of the product kernels that this device can run. */
export function onEveryTile(
  name: string,
  body: (t: TestContext, manager: PipelineManager, some: Some, tile?: TileName) => Promise<void>,
): void {
  kernelTest(`${name}: the default tile`, (t) => body(t, managerOf(t), (cases) => cases));
  for (const tile of TILES_EVERYWHERE) {
    kernelTest(`${name}: ${tile}`, async (t) => {
      if (tile !== "registers") leaveToChromium(t);
      const manager = disguised(t, managerOf(t).handle.capabilities.software, tile);
      try {
        // Software adapters take long over many tiles of 8 × 8 with 256 threads each.
        const some: Some = (cases) => (tile === "sliced" ? cases.filter((_, i) => i % 4 === 1) : cases);
        await body(t, manager, some, tile);
      } finally {
        manager.dispose();
      }
    });
  }
}

/** A manager whose shaders divide and take roots as roughly as WGSL lets an adapter: 2.5 units in the last place off. */
export function roughArithmetic(t: TestContext): PipelineManager {
  const { device, capabilities } = managerOf(t).handle;
  const rough = new Proxy(device, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (key === "createShaderModule") {
        return (descriptor: GPUShaderModuleDescriptor) =>
          target.createShaderModule({ ...descriptor, code: roughened(descriptor.code) });
      }
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return disguised(t, capabilities.software, undefined, rough);
}

/** Of quotients, those with a literal on top. */
function roughened(code: string): string {
  return `${code
    .replace(/\bsqrt\(/g, "roughRoot(")
    .replace(/\binverseSqrt\(/g, "roughInverseRoot(")
    .replace(/(\b\d+\.\d+) \/ (\w+)/g, "roughQuotient($1, $2)")}
fn roughRoot(x: f32) -> f32 { return sqrt(x) * (1.0 - 3.0e-7); }
fn roughInverseRoot(x: f32) -> f32 { return inverseSqrt(x) * (1.0 + 3.0e-7); }
fn roughQuotient(x: f32, y: f32) -> f32 { return x / y * (1.0 + 3.0e-7); }
`;
}

/** A manager on the same device that takes its adapter for one of this kind, with one tile for all products where one is named. */
export function disguised(
  t: TestContext,
  software: boolean,
  tile?: TileName,
  device: GPUDevice = managerOf(t).handle.device,
): PipelineManager {
  const { handle } = managerOf(t);
  const capabilities = { ...handle.capabilities, software };
  if (tile) forceTile(capabilities, tile);
  const stand = {
    device,
    owned: false,
    capabilities,
    lost: handle.lost,
    assertUsable: () => handle.assertUsable(),
    explain: (error: unknown) => handle.explain(error),
    dispose() {},
  };
  return new PipelineManager(stand as unknown as DeviceHandle);
}

/** Records and submits. */
export function run(manager: PipelineManager, record: (recorder: Recorder) => void): number {
  const recorder = manager.record();
  record(recorder);
  recorder.submit();
  return recorder.dispatches;
}

/** A matrix at its place in an arena. */
export interface Slot {
  readonly rows: number;
  readonly cols: number;
  readonly offset: number;
  readonly stride: number;
  /** What it held at the upload, dense. */
  readonly data: Float32Array;
  readonly view: MatrixView;
}

/**
 * A buffer of matrices with poison (NaN and 1e30 in turn) between them and, unless data is given, in them. Aligned
 * matrices start every row on a multiple of four elements, loose ones never do.
 */
export class Arena {
  readonly #slots: Slot[] = [];
  #length = 0;
  #buffer: GPUBuffer | undefined;
  #words = new Uint32Array();

  add(rows: number, cols: number, loose: boolean, data?: ArrayLike<number>): Slot {
    const number = this.#slots.length;
    const offset = loose ? ceil4(this.#length) + 1 + (number % 3) : ceil4(this.#length) + 4 * (number % 3);
    let stride = loose ? cols + 1 + (number % 3) : ceil4(cols) + 4 * (number % 2);
    if (loose && stride % 4 === 0) stride++;
    const arena = this;
    const filled = Float32Array.from(data ?? poison(rows * cols));
    assertEqual(filled.length, rows * cols, "numbers for a slot");
    const slot = {
      rows,
      cols,
      offset,
      stride,
      data: filled,
      get view() {
        return { buffer: arena.buffer, offset, rows, cols, stride };
      },
    };
    this.#slots.push(slot);
    this.#length = offset + (rows - 1) * stride + cols;
    return slot;
  }

  get buffer(): GPUBuffer {
    assert(this.#buffer, "the arena is not uploaded yet");
    return this.#buffer;
  }

  /**
   * `tail` elements follow the last matrix: with 0 it ends where its buffer does. Unless given, the buffer is a whole
   * number of `vec4f`s, as the kernels that load four numbers at a time need.
   */
  upload(t: TestContext, tail = ceil4(this.#length) + 8 - this.#length): this {
    const all = poison(this.#length + tail);
    for (const { rows, cols, offset, stride, data } of this.#slots) {
      for (let i = 0; i < rows; i++) all.set(data.subarray(i * cols, (i + 1) * cols), offset + i * stride);
    }
    this.#words = new Uint32Array(all.buffer.slice(0));
    this.#buffer = t.upload(all);
    return this;
  }

  /** The matrices as they are now; nothing outside of `written` (defaults to all of them) may have changed. */
  async download(
    t: TestContext,
    what: string,
    written: readonly Slot[] = this.#slots,
  ): Promise<Map<Slot, Float32Array>> {
    const words = await t.downloadWords(this.buffer);
    const numbers = new Float32Array(words.buffer);
    const result = new Map<Slot, Float32Array>();
    const inside = new Uint8Array(words.length);
    for (const slot of this.#slots) {
      const { rows, cols, offset, stride } = slot;
      const dense = new Float32Array(rows * cols);
      for (let i = 0; i < rows; i++) {
        const start = offset + i * stride;
        dense.set(numbers.subarray(start, start + cols), i * cols);
        if (written.includes(slot)) inside.fill(1, start, start + cols);
      }
      result.set(slot, dense);
    }
    for (let e = 0; e < this.#words.length; e++) {
      if (inside[e] === 0 && words[e] !== this.#words[e]) {
        throw new Error(`${what}: element ${e}, outside of every output, became ${numbers[e]}`);
      }
    }
    return result;
  }
}

function ceil4(count: number): number {
  return 4 * Math.ceil(count / 4);
}

function poison(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, k) => (k % 2 === 0 ? Number.NaN : POISON));
}

/** A random symmetric matrix, n × n. */
export function symmetric(random: Random, n: number): Float32Array {
  const out = random.normals(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) out[j * n + i] = out[i * n + j]!;
  return out;
}

/** The slot's numbers at the upload, for the reference. */
export function reference(slot: Slot): Matrix {
  return matrix(slot.rows, slot.cols, slot.data);
}

export function absolute(m: Matrix): Matrix {
  return { ...m, data: m.data.map(Math.abs) };
}

/**
 * Every element within `roundings` roundings of the reference, each relative to `magnitude`: the sum of the absolute
 * values of what was added up. This is the error bound of numerical analysis, so no luck is involved.
 */
export function assertWithin(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  magnitude: ArrayLike<number>,
  roundings: number,
  what: string,
): void {
  assertEqual(actual.length, expected.length, `${what}: numbers`);
  for (let e = 0; e < expected.length; e++) {
    const gap = Math.abs(actual[e]! - expected[e]!);
    if (!(gap <= roundings * EPS * magnitude[e]! + 1e-37)) {
      const allowed = (roundings * EPS * magnitude[e]!).toExponential(1);
      throw new Error(`${what}: element ${e} is ${actual[e]}, expected ${expected[e]} ± ${allowed}`);
    }
  }
}

/** Equal bit for bit. */
export function assertSameBits(actual: Float32Array, expected: Float32Array, what: string): void {
  assertEqual(actual.length, expected.length, `${what}: numbers`);
  const a = new Uint32Array(actual.buffer, actual.byteOffset, actual.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  for (let e = 0; e < a.length; e++) {
    if (a[e] !== b[e]) throw new Error(`${what}: element ${e} is ${actual[e]}, expected ${expected[e]}`);
  }
}

export function assertSymmetric(dense: Float32Array, n: number, what: string): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      if (!Object.is(dense[i * n + j], dense[j * n + i])) {
        throw new Error(`${what}: (${i}, ${j}) is ${dense[i * n + j]}, (${j}, ${i}) ${dense[j * n + i]}`);
      }
    }
  }
}

type ErrorClass = abstract new (...args: never[]) => Error;

/** Each call throws its error with its message and leaves no dispatch behind; the outputs stay as they are. */
export async function assertRefused(
  t: TestContext,
  outputs: readonly Arena[],
  calls: readonly [record: (recorder: Recorder) => void, error: ErrorClass, message: RegExp][],
): Promise<void> {
  for (const [record, error, message] of calls) {
    const recorder = managerOf(t).record();
    assertThrows(() => record(recorder), error, message);
    assertEqual(recorder.dispatches, 0, `dispatches recorded before ${message}`);
    recorder.submit();
  }
  for (const output of outputs) await output.download(t, "a refused operation", []);
}
