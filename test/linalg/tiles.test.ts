/** Which tile a dispatch of products gets. */
import type { Capabilities } from "../../src/device/index.js";
import { forceTile, type Sizes, TILES, tileShape } from "../../src/linalg/products/tiles.js";
import { assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import { managerOf } from "./helpers.js";

function adapter(t: TestContext, software: boolean, subgroupSize: number): Capabilities {
  return { ...managerOf(t).handle.capabilities, software, subgroupSize };
}

function nameOf(capabilities: Capabilities, sizes: Sizes): string {
  const shape = tileShape(capabilities, sizes);
  return Object.entries(TILES).find(([, tile]) => tile === shape)![0];
}

const repeated = (count: number, m: number, n = m): Sizes =>
  Array.from({ length: count }, () => [m, n] as const);

kernelTest("tiles: software adapters by their subgroups, whatever the sizes", (t) => {
  for (const sizes of [repeated(1, 1), repeated(3, 4096)]) {
    assertEqual(nameOf(adapter(t, true, 8), sizes), "subgroup8", "eight lanes");
    assertEqual(nameOf(adapter(t, true, 4), sizes), "subgroup4", "four lanes");
    assertEqual(nameOf(adapter(t, true, 0), sizes), "registers", "no subgroups");
    assertEqual(nameOf(adapter(t, true, 32), sizes), "registers", "other subgroups");
  }
});

kernelTest("tiles: GPUs take the larger one where it keeps them busy and wastes little", (t) => {
  for (const lanes of [0, 4, 8, 32]) {
    const gpu = adapter(t, false, lanes);
    assertEqual(nameOf(gpu, repeated(1, 2048)), "workgroup128", "a large result");
    assertEqual(nameOf(gpu, repeated(1, 1920)), "workgroup64", "a result of 225 tiles");
    assertEqual(nameOf(gpu, repeated(16, 512)), "workgroup128", "as many tiles in 16 results");
    assertEqual(nameOf(gpu, repeated(15, 512)), "workgroup64", "fewer of them");
    assertEqual(nameOf(gpu, repeated(10_000, 20)), "workgroup64", "many small results");
    assertEqual(nameOf(gpu, repeated(256, 129)), "workgroup64", "results little larger than a tile");
    assertEqual(nameOf(gpu, repeated(1, 64, 1 << 20)), "workgroup64", "a result one small tile high");
    assertEqual(nameOf(gpu, [...repeated(1, 4096), ...repeated(50, 10)]), "workgroup128", "one large one");
  }
});

kernelTest("tiles: a forced one is taken, whatever the sizes", (t) => {
  const gpu = adapter(t, false, 32);
  assertEqual(nameOf(gpu, repeated(1, 4096)), "workgroup128", "of a GPU");
  forceTile(gpu, "registers");
  assertEqual(nameOf(gpu, repeated(1, 4096)), "registers", "the forced one");
  assertEqual(nameOf(gpu, repeated(50, 10)), "registers", "of small results");
});

kernelTest("tiles: a workgroup takes no more memory and threads than every device has", () => {
  for (const { form, constants } of Object.values(TILES)) {
    if (form !== "workgroup") continue;
    const THREADS = constants.THREADS!;
    assertEqual(THREADS ** 2 <= 256, true, `${THREADS} × ${THREADS} threads`);
    // Two sets of eight rows of A and B each.
    assertEqual(2 * 8 * 2 * 8 * THREADS * 4 <= 16384, true, `bytes of workgroup memory at ${THREADS}`);
  }
});
