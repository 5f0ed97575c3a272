/** Which tile a dispatch of products gets, and into how many parts its sums are split. */
import type { Capabilities } from "../../src/device/index.js";
import { forceTile, tileShape } from "../../src/linalg/products/choice.js";
import { duration, type ProductSize } from "../../src/linalg/products/cost.js";
import { partsOf } from "../../src/linalg/products/parts.js";
import { TILES } from "../../src/linalg/products/tiles.js";
import { assert, assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import { managerOf } from "./helpers.js";

function adapter(t: TestContext, software: boolean, subgroupSize: number, vendor = "nvidia"): Capabilities {
  return { ...managerOf(t).handle.capabilities, software, subgroupSize, vendor };
}

function nameOf(capabilities: Capabilities, sizes: readonly ProductSize[]): string {
  const shape = tileShape(capabilities, sizes);
  return Object.entries(TILES).find(([, tile]) => tile === shape)![0];
}

const repeated = (count: number, m: number, n = m, k = 512): ProductSize[] =>
  Array.from({ length: count }, () => ({ m, n, k }));
const gram = (d: number, k: number): ProductSize => ({ m: d, n: d, k, lower: true });

kernelTest("tiles: software adapters by their subgroups, whatever the sizes", (t) => {
  for (const sizes of [repeated(1, 1), repeated(3, 4096)]) {
    assertEqual(nameOf(adapter(t, true, 8), sizes), "subgroup8", "eight lanes");
    assertEqual(nameOf(adapter(t, true, 4), sizes), "subgroup4", "four lanes");
    assertEqual(nameOf(adapter(t, true, 0), sizes), "registers", "no subgroups");
    assertEqual(nameOf(adapter(t, true, 32), sizes), "registers", "other subgroups");
  }
});

kernelTest(
  "tiles: GPUs take large ones for large results, small ones where those would leave processors idle",
  (t) => {
    for (const lanes of [0, 4, 8, 32]) {
      const gpu = adapter(t, false, lanes);
      assertEqual(nameOf(gpu, repeated(1, 4096, 4096, 4096)), "workgroup128", "a large result");
      assertEqual(nameOf(gpu, repeated(64, 1024)), "workgroup128", "as many tiles in several results");
      assertEqual(nameOf(gpu, repeated(1, 1024, 1024, 1024)), "workgroup64", "a result of 64 large tiles");
      assertEqual(nameOf(gpu, repeated(1000, 40)), "workgroup64", "many results smaller than a tile");
      assertEqual(nameOf(gpu, repeated(256, 129)), "workgroup64", "results little larger than a tile");
      assertEqual(nameOf(gpu, repeated(1, 10, 129)), "sliced", "a small result");
    }
    // 136 tiles of 128 × 128 at the diagonal or below: little more than one for each processor.
    assertEqual(
      nameOf(adapter(t, false, 32), [gram(2048, 512)]),
      "workgroup64",
      "a second wave of a few tiles",
    );
    assertEqual(
      nameOf(adapter(t, false, 32, "qualcomm"), [gram(2048, 512)]),
      "workgroup128",
      "few processors",
    );
  },
);

kernelTest(
  "tiles: long sums are split where that keeps a GPU busy, and a small one is not worth a second dispatch",
  (t) => {
    const gpu = adapter(t, false, 32);
    const parts = (...products: ProductSize[]) => partsOf(gpu, products);
    assertEqual(parts(gram(4096, 4096)).join(), "1", "enough tiles");
    assert(parts(gram(512, 4096))[0]! > 1, "36 tiles are too few for 4,096 examples");
    assertEqual(parts(gram(64, 4096)).join(), "1", "64 × 4096");
    assertEqual(nameOf(gpu, [gram(64, 4096)]), "sliced", "64 × 4096");
    assertEqual(parts(gram(64, 16384)).join(), "1", "64 × 16384");
    assertEqual(nameOf(gpu, [gram(64, 16384)]), "sliced", "64 × 16384");
    assertEqual(parts(gram(64, 128), gram(2048, 128)).join(), "1,1", "short sums");
    // Rounding: at most 8,192 terms a thread, of which a sum has 64 here.
    const [own] = parts(gram(64, 1 << 20));
    const half = { m: 64, n: 64, k: (1 << 20) / own!, lower: true };
    assertEqual(nameOf(gpu, Array<ProductSize>(own!).fill(half)), "sliced", "a million examples");
    assert((1 << 20) / own! <= 64 * 8192, `${own} parts of a million examples`);
    assert(parts(gram(2048, 1 << 15))[0] === 1, "parts would need more memory than they are given");
    for (const [index, count] of parts(gram(512, 1 << 14), gram(10, 70)).entries()) {
      assert(count <= [64, 1][index]!, `parts of fewer than 64 terms: ${count}`);
    }
  },
);

kernelTest("tiles: the time of a dispatch grows with what it does, and falls with the processors", (t) => {
  const gpu = adapter(t, false, 32);
  for (const name of ["workgroup64", "workgroup128", "sliced"] as const) {
    const time = (...products: ProductSize[]) => duration(gpu, name, products);
    const one = time(...repeated(1, 300));
    assert(time(...repeated(1, 300, 300, 1024)) > one, `${name}: longer sums`);
    assert(time(...repeated(1, 2000)) > one, `${name}: larger results`);
    assert(time(...repeated(20, 300)) > one, `${name}: more of them`);
    assert(time(gram(2000, 512)) < time({ m: 2000, n: 2000, k: 512 }), `${name}: half of a symmetric one`);
    assert(
      duration(adapter(t, false, 32, "qualcomm"), name, repeated(1, 2000)) > time(...repeated(1, 2000)),
      name,
    );
  }
});

kernelTest("tiles: workgroups that have a processor each take as long as one", (t) => {
  const gpu = adapter(t, false, 32);
  for (const name of ["workgroup64", "workgroup128", "sliced"] as const) {
    const { rows, cols } = TILES[name];
    const time = (groups: number) => duration(gpu, name, [{ m: groups * rows, n: cols, k: 512 }]);
    assertEqual(time(100), time(1), `${name}: as many as there are`);
    assert(time(101) > 1.5 * time(100), `${name}: one more is a second wave`);
  }
});

kernelTest("tiles: a forced one is taken, whatever the sizes", (t) => {
  const gpu = adapter(t, false, 32);
  assertEqual(nameOf(gpu, repeated(1, 4096)), "workgroup128", "of a GPU");
  forceTile(gpu, "registers");
  assertEqual(nameOf(gpu, repeated(1, 4096)), "registers", "the forced one");
  assertEqual(nameOf(gpu, repeated(50, 10)), "registers", "of small results");
});
