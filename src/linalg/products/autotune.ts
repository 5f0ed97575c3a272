import { FUNCTION, must, objectLike, optionsOf, type Rules } from "../../arguments.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { type Matrix, paddedLength, paddedView } from "../layout/view.js";
import { fastest, keyOf, type Measured, measuredOn, runnable } from "./choice.js";
import { type ProductSize, takesWhole } from "./cost.js";
import { gramPacked } from "./gram.js";
import { multiplyPacked } from "./matmul.js";
import type { TileName } from "./tiles.js";

/** Where measurements are remembered: `localStorage`, or anything of its shape. */
export interface TuningStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface AutotuneOptions {
  /** Remembers what was measured, by adapter and driver, and is asked first. By default nothing outlives the engine. */
  storage?: TuningStorage;
}

const OPTIONS: Rules<AutotuneOptions> = {
  storage: objectLike("an object with getItem and setItem, such as localStorage", "getItem", "setItem"),
};

/** What was measured of one dispatch of products. */
export interface TunedProducts {
  /** The results m × n, each number a sum of k products. */
  readonly products: readonly ProductSize[];
  /** The fastest tile, and the one that would have been taken. */
  readonly tile: string;
  readonly untuned: string;
  /** Milliseconds of a dispatch with each tile that was tried; empty where it was remembered. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** A sample takes at least so many milliseconds, of so many the shortest counts. */
const LEAST_MS = 4;
const SAMPLES = 3;
const MOST_REPETITIONS = 200;
/** A tile that takes this many times the best is not tried again. */
const HOPELESS = 3;
const PREFIX = "kfac-webgpu tiles 1";

/**
 * Times the forms of the product kernels for the products that `work` asks for, alone on the device, and takes the fastest of
 * each from then on: `engine.autotune`. `work` runs once; nothing else should run meanwhile.
 *
 * @throws (by rejection) ArgumentError when `work` is no function, for a bad or unknown option, and what `work` throws
 */
export async function autotune(
  manager: PipelineManager,
  work: () => unknown,
  options: AutotuneOptions = {},
): Promise<TunedProducts[]> {
  must("autotune", "work", work, FUNCTION);
  const { storage } = optionsOf("autotune", OPTIONS, options);
  manager.handle.assertUsable();
  const { capabilities } = manager.handle;
  const measured = measuredOn(capabilities);
  const place = `${PREFIX} ${[capabilities.vendor, capabilities.architecture, capabilities.adapter].join(" ")}`;
  for (const [key, tile] of remembered(storage?.getItem(place), runnable(capabilities))) {
    if (!measured.tiles.has(key)) measured.tiles.set(key, tile);
  }
  const asked = await listen(manager, measured, work);
  const results: TunedProducts[] = [];
  for (const products of asked.values()) {
    const known = measured.tiles.get(keyOf(products));
    const milliseconds = known ? {} : await measure(manager, measured, products);
    const tile = measured.tiles.get(keyOf(products));
    if (tile) results.push({ products, tile, untuned: fastest(capabilities, products), milliseconds });
  }
  // What was recorded before may use other tiles.
  manager.era++;
  storage?.setItem(place, JSON.stringify([...measured.tiles]));
  return results;
}

/** Bad or foreign entries are left out: a storage is anyone's to write. */
function remembered(text: string | null | undefined, tiles: readonly TileName[]): [string, TileName][] {
  let entries: unknown;
  try {
    entries = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(entries)) return [];
  return entries.filter(
    (entry): entry is [string, TileName] =>
      Array.isArray(entry) &&
      typeof entry[0] === "string" &&
      (tiles as readonly unknown[]).includes(entry[1]),
  );
}

/** All dispatches of products that `work` asks for. Recordings would be sent again without asking. */
async function listen(
  manager: PipelineManager,
  measured: Measured,
  work: () => unknown,
): Promise<Map<string, readonly ProductSize[]>> {
  const asked = new Map<string, readonly ProductSize[]>();
  const { repeats } = manager;
  measured.asked = asked;
  manager.repeats = false;
  try {
    await work();
  } finally {
    manager.repeats = repeats;
    measured.asked = undefined;
  }
  return asked;
}

/** Times every tile, and notes the fastest one; nothing where the device cannot hold the operands twice. */
async function measure(
  manager: PipelineManager,
  measured: Measured,
  products: readonly ProductSize[],
): Promise<Record<string, number>> {
  const key = keyOf(products);
  const operands = new Operands(manager, products);
  const times: Partial<Record<TileName, number>> = {};
  try {
    if (!operands.allocate()) return {};
    const { capabilities } = manager.handle;
    const likely = fastest(capabilities, products);
    const others = runnable(capabilities).filter((tile) => takesWhole(tile, products));
    for (const tile of new Set([likely, ...others])) {
      measured.tiles.set(key, tile);
      const best = Math.min(...Object.values(times));
      times[tile] = await timeOf(manager, (recorder) => operands.record(recorder), HOPELESS * best);
    }
  } finally {
    measured.tiles.delete(key);
    operands.dispose();
  }
  const [tile] = (Object.entries(times) as [TileName, number][]).reduce((a, b) => (b[1] < a[1] ? b : a));
  measured.tiles.set(key, tile);
  return times;
}

/** Milliseconds of what is recorded: the shortest of some samples. */
async function timeOf(
  manager: PipelineManager,
  record: (recorder: Recorder) => void,
  hopeless: number,
): Promise<number> {
  const sample = async (repetitions: number) => {
    const recorder = manager.record();
    for (let i = 0; i < repetitions; i++) record(recorder);
    const begin = performance.now();
    recorder.submit();
    await manager.device.queue.onSubmittedWorkDone();
    return (performance.now() - begin) / repetitions;
  };
  // Compiles.
  await sample(1);
  let best = await sample(1);
  if (best > hopeless) return best;
  for (let i = 0; i < SAMPLES; i++) {
    const repetitions = Math.min(Math.ceil(LEAST_MS / Math.max(best, 1e-3)), MOST_REPETITIONS);
    best = Math.min(best, await sample(repetitions));
  }
  return best;
}

/** Operands of products, zero: the matrices of each kind one behind the other. */
class Operands {
  readonly #manager: PipelineManager;
  readonly #products: readonly ProductSize[];
  readonly #buffers = new Map<Operand, GPUBuffer>();
  #scales: GPUBuffer | undefined;

  constructor(manager: PipelineManager, products: readonly ProductSize[]) {
    this.#manager = manager;
    this.#products = products;
  }

  /** False where one of the buffers is larger than the device allows. */
  allocate(): boolean {
    const { device } = this.#manager;
    const most = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize) / 4;
    const lengths = OPERANDS.map((operand) => {
      return this.#products.reduce((sum, product) => sum + paddedLength(...shapeOf(operand, product)), 0);
    });
    if (lengths.some((length) => length > most)) return false;
    for (const [index, operand] of OPERANDS.entries()) {
      this.#buffers.set(operand, this.#manager.createStorage("autotune", lengths[index]!));
    }
    this.#scales = this.#manager.createStorage("autotune", 4);
    // α = 1: where it is zero the operands are not read.
    device.queue.writeBuffer(this.#scales, 0, Float32Array.of(1, 0));
    return true;
  }

  record(recorder: Recorder): void {
    const [A, B, C] = OPERANDS.map((operand) => this.#views(operand)) as [Matrix[], Matrix[], Matrix[]];
    if (this.#products.every(({ lower }) => lower)) {
      gramPacked(
        recorder,
        A.map((view, index) => ({ A: view, S: C[index]!, scale: 0 })),
        this.#scales!,
      );
      return;
    }
    multiplyPacked(
      recorder,
      A.map((view, index) => {
        return { A: view, B: B[index]!, C: C[index]!, transposed: false, alpha: 1, beta: 0 };
      }),
    );
  }

  dispose(): void {
    for (const buffer of this.#buffers.values()) this.#manager.destroyBuffer(buffer);
    if (this.#scales) this.#manager.destroyBuffer(this.#scales);
  }

  #views(operand: Operand): Matrix[] {
    const buffer = this.#buffers.get(operand)!;
    let offset = 0;
    return this.#products.map((product) => {
      const shape = shapeOf(operand, product);
      const view = paddedView(buffer, offset, ...shape);
      offset += paddedLength(...shape);
      return view;
    });
  }
}

const OPERANDS = ["A", "B", "C"] as const;
type Operand = (typeof OPERANDS)[number];

function shapeOf(operand: Operand, { m, n, k }: ProductSize): [rows: number, cols: number] {
  if (operand === "C") return [m, n];
  return [k, operand === "A" ? m : n];
}
