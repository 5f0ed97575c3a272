/** The autotuner: every dispatch of products that a piece of work asks for is timed with every tile, remembered and used. */
import { ArgumentError } from "../../src/errors.js";
import { autotune, matmul, type TuningStorage } from "../../src/linalg/index.js";
import { keyOf, tileShape } from "../../src/linalg/products/choice.js";
import { dense, halfSquaredError } from "../../src/network/index.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  kernelTest,
  trainingTest,
} from "../harness/kernel-test.js";
import { disguised, managerOf, run } from "./helpers.js";

class Memory implements TuningStorage {
  readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
}

kernelTest("autotune: keys of dispatches tell sizes, order, halves and counts", () => {
  const a = { m: 1, n: 2, k: 3 };
  const b = { m: 4, n: 4, k: 5, lower: true };
  assertEqual(keyOf([a, a, b, a]), "2*1x2x3 4x4x5l 1x2x3", "key");
});

trainingTest(
  "autotune: what work asks for is timed with every tile, remembered, and taken from then on",
  async (t) => {
    const storage = new Memory();
    const products = () => {
      const [A, B, into] = [
        t.upload(t.random(1).normals(64)),
        t.upload(t.random(2).normals(64)),
        t.poisoned(64),
      ];
      const view = (buffer: GPUBuffer) => ({ buffer, rows: 8, cols: 8 });
      return { A: view(A), B: view(B), into: view(into) };
    };
    const tuned = disguised(t, managerOf(t).handle.capabilities.software);
    try {
      const operands = products();
      const work = () => run(tuned, (recorder) => matmul(recorder, { ...operands, transposeA: true }));
      const first = await autotune(tuned, work, { storage });
      assertEqual(first.length, 1, "dispatches of products");
      const { products: sizes, tile, milliseconds } = first[0]!;
      assertEqual(JSON.stringify(sizes), JSON.stringify([{ m: 8, n: 8, k: 8 }]), "sizes");
      assert(Object.keys(milliseconds).length >= 4, `tiles that were tried: ${Object.keys(milliseconds)}`);
      const shortest = Math.min(...Object.values(milliseconds));
      assertEqual(milliseconds[tile], shortest, "the fastest one");
      assertEqual(tileShape(tuned.handle.capabilities, sizes).form, tile, "is taken");
      const [C] = [await t.download(operands.into.buffer)];
      work();
      assertClose(await t.download(operands.into.buffer), C, 1e-5, "the product after it");
    } finally {
      tuned.dispose();
    }
    // Another device of the same adapter does not time it again.
    const other = disguised(t, managerOf(t).handle.capabilities.software);
    try {
      const operands = products();
      const work = () => run(other, (recorder) => matmul(recorder, { ...operands, transposeA: true }));
      const [again] = await autotune(other, work, { storage });
      assertEqual(Object.keys(again!.milliseconds).length, 0, "tiles that were tried again");
      assertEqual(
        JSON.stringify([...storage.items.values()].map((text) => JSON.parse(text))),
        JSON.stringify([[["8x8x8", again!.tile]]]),
        "stored",
      );
    } finally {
      other.dispose();
    }
  },
);

kernelTest("autotune: a storage full of nonsense is as good as an empty one", async (t) => {
  for (const text of ["", "{", "null", "7", '[["8x8x8","nonsense"],[1,"registers"],null,["8x8x8"]]']) {
    const manager = disguised(t, managerOf(t).handle.capabilities.software);
    try {
      const storage = { getItem: () => text, setItem() {} };
      assertEqual((await autotune(manager, () => {}, { storage })).length, 0, `with ${text}`);
      assert(tileShape(manager.handle.capabilities, [{ m: 8, n: 8, k: 8 }]) !== undefined, text);
    } finally {
      manager.dispose();
    }
  }
});

trainingTest("autotune: steps that were recorded before are recorded anew, and train on", async (t) => {
  const manager = managerOf(t);
  const net = t.engine.network([dense(5, 3)], halfSquaredError(), { batchSize: 4 });
  const sgd = t.engine.sgd(net, { learningRate: 0.01, momentum: 0 });
  const batch = { inputs: t.random(3).normals(20), targets: t.random(4).normals(12), count: 4 };
  const losses: number[] = [];
  for (let step = 0; step < 3; step++) losses.push((await sgd.step(batch)).loss);
  const { era } = manager;
  const results = await autotune(manager, () => sgd.step(batch));
  assert(results.length > 0 && manager.era > era, `${results.length} dispatches, era ${manager.era}`);
  for (let step = 0; step < 3; step++) losses.push((await sgd.step(batch)).loss);
  for (let step = 1; step < losses.length; step++) {
    assert(losses[step]! < losses[step - 1]!, `losses ${losses}`);
  }
  sgd.dispose();
  net.dispose();
});

kernelTest("autotune: bad arguments, and work that throws", async (t) => {
  const manager = managerOf(t);
  await assertThrows(() => autotune(manager, null as never), ArgumentError, /work must be a function/);
  await assertThrows(
    () => autotune(manager, () => {}, { storage: {} as never }),
    ArgumentError,
    /storage must be an object with getItem and setItem/,
  );
  await assertThrows(
    () => autotune(manager, () => {}, { store: new Memory() } as never),
    ArgumentError,
    /store is not an option; pass storage/,
  );
  const { repeats } = manager;
  await assertThrows(
    () =>
      autotune(manager, () => {
        throw new Error("no batch");
      }),
    Error,
    /no batch/,
  );
  assertEqual(manager.repeats, repeats, "recordings are sent again");
});
