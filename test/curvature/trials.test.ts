/** λ that lives on the GPU, trial dampings that share a curvature's factors, and batches that a word leaves out. */
import {
  BLOCK_KINDS,
  type BlockItem,
  type BlockKind,
  type Curvature,
  type CurvatureTrials,
  type KroneckerBlock,
} from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import type { Recorder } from "../../src/pipeline/index.js";
import type { Matrix } from "../../src/reference/matrix.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { assertSame } from "../optimizers/helpers.js";
import {
  batchOf,
  gradients,
  isZero,
  SHAPES,
  solved,
  statusOf,
  updatesOf,
  withCurvature,
} from "./block-helpers.js";
import { blockTwin } from "./block-twins.js";
import { download } from "./helpers.js";
import { blank, randomData, store, submit, testLayer } from "./layers.js";

/** A number among others in a buffer of the test's own. */
class Word {
  readonly buffer: GPUBuffer;
  readonly index = 5;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.buffer = t.engine.manager.createStorage("test's number", 8);
  }

  set(value: number, as: typeof Float32Array | typeof Uint32Array = Float32Array): void {
    this.#t.device.queue.writeBuffer(this.buffer, 4 * this.index, as.of(value));
  }

  [Symbol.dispose](): void {
    this.#t.engine.manager.destroyBuffer(this.buffer);
  }
}

/** Solutions that follow λ at once, without a refresh. */
const DIVIDING: readonly BlockKind[] = ["eigen", "ekfac", "diagonal"];

for (const kind of BLOCK_KINDS) {
  trainingTest(`stored damping: ${kind} takes λ from the GPU, to the bit as from the host`, async (t) => {
    using word = new Word(t);
    const random = t.random(1);
    const batch = batchOf(t, random);
    const G = gradients(random);
    const take = (curvature: Curvature) =>
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, updatesOf(batch));
        curvature.refresh(recorder);
      });
    await withCurvature(t, SHAPES, { blocks: kind, damping: 0.3 }, async (host) => {
      await withCurvature(t, SHAPES, { blocks: kind, damping: 0.3 }, async (own) => {
        own.storedDamping = word;
        for (const [step, lambda] of [0.05, Number.NaN, -1, 2, Number.POSITIVE_INFINITY].entries()) {
          const usable = lambda >= 0 && Number.isFinite(lambda);
          word.set(lambda);
          host.damping = usable ? Math.fround(lambda) : 0.3;
          take(host);
          take(own);
          assertSame(await solved(t, own, G), await solved(t, host, G), `step ${step}, λ ${lambda}: U`);
          const [states, expected] = [await statusOf(managerOf(t), own), await statusOf(managerOf(t), host)];
          assertEqual(JSON.stringify(states), JSON.stringify(expected), `step ${step}: states`);
        }
        const before = await solved(t, own, G);
        word.set(7);
        if (DIVIDING.includes(kind)) {
          host.damping = 7;
          // A refresh from the same means changes nothing but λ and the last bits.
          submit(managerOf(t), (recorder) => host.refresh(recorder));
          for (const [l, U] of (await solved(t, own, G)).entries()) {
            assertClose(U, (await solved(t, host, G))[l]!, 1e-5, `layer ${l}: U at once`);
          }
        } else {
          assertSame(await solved(t, own, G), before, "U before the next refresh");
        }
        own.storedDamping = undefined;
        host.damping = 0.3;
        take(host);
        take(own);
        if (DIVIDING.includes(kind)) return;
        assertSame(await solved(t, own, G), await solved(t, host, G), "U by the host's λ again");
      });
    });
  });
}

/** U of a trial, each in poison of its own. */
async function tried(t: TestContext, trials: CurvatureTrials, trial: number, G: readonly Matrix[]) {
  const items = G.map((own, layer): BlockItem => {
    return { layer, G: store(t, own.data, own.rows, own.cols), into: blank(t, own.rows, own.cols) };
  });
  submit(managerOf(t), (recorder) => trials.precondition(recorder, trial, items));
  return Promise.all(items.map(({ into }) => download(t, into)));
}

/** Kinds that have their own solution alone: another would be another fit, or another inverse of the whole block. */
const FITTED: readonly BlockKind[] = ["full", "batch:expandFactored", "batch:meanFluctuation"];

for (const kind of BLOCK_KINDS) {
  trainingTest(`trials: ${kind} at several dampings, each as if it were λ`, async (t) => {
    using word = new Word(t);
    word.set(0.2);
    const multipliers = [1 / 9, 9];
    await withCurvature(t, SHAPES, { blocks: kind, damping: 5, emaDecay: 0.5 }, async (curvature) => {
      curvature.storedDamping = word;
      using trials = curvature.trials(multipliers);
      const random = t.random(2);
      const G = gradients(random);
      const twins = SHAPES.map(() => blockTwin(kind, 0.5));
      for (const own of [true, false]) {
        const batch = batchOf(t, random);
        submit(managerOf(t), (recorder) => {
          curvature.accumulate(recorder, updatesOf(batch));
          trials.refresh(recorder, { own });
        });
        for (const [l, { block }] of batch.entries()) twins[l]!.accumulate([block]);
        // A refresh of the trials alone leaves the bases, and what stands of a batch, as they were.
        if (!own && kind !== "kronecker" && kind !== "diagonal") break;
        for (const [trial, multiplier] of [...multipliers, 1].entries()) {
          const main = trial === multipliers.length || FITTED.includes(kind);
          if (main && !own) continue;
          for (const twin of twins) twin.refresh(main ? 0.2 : 0.2 * multiplier);
          const U = await (trial < 2 ? tried(t, trials, trial, G) : solved(t, curvature, G));
          for (const [l, numbers] of U.entries()) {
            const bound = kind === "batch:kfoc" ? 5e-3 : 3e-4;
            const what = `own ${own}, trial ${trial}, layer ${l}`;
            assertClose(numbers, twins[l]!.solve(G[l]!).data, bound, what);
          }
        }
        const words = await t.downloadWords(trials.status);
        assert(
          words.slice(0, 2).every((bits) => bits === 0),
          `status ${words}`,
        );
      }
      for (const { text, boost } of await statusOf(managerOf(t), curvature)) {
        assertEqual(text, "ok", "status");
        assertEqual(boost, 1, "boost");
      }
    });
  });
}

trainingTest("trials: one that does not invert says so, and touches nothing else", async (t) => {
  const layers = [SHAPES[0]!, SHAPES[1]!];
  await withCurvature(t, layers, { damping: 1 }, async (curvature) => {
    const block = curvature.blocks[0] as KroneckerBlock;
    const random = t.random(3);
    const G = gradients(random, layers);
    using trials = curvature.trials([1e-4, 4, 9]);
    const refresh = () => submit(managerOf(t), (recorder) => trials.refresh(recorder, { own: true }));
    const words = async () => [...(await t.downloadWords(trials.status)).slice(0, 3)];
    refresh();
    assertEqual((await words()).join(), "1,1,1", "status without data");
    for (const trial of [0, 1]) assert((await tried(t, trials, trial, G)).every(isZero), "U without data");
    const batch = batchOf(t, random, layers);
    submit(managerOf(t), (recorder) => curvature.accumulate(recorder, updatesOf(batch)));
    refresh();
    assertEqual((await words()).join(), "0,0,0", "status");
    const main = await solved(t, curvature, G);
    // No Gram matrix is indefinite by more than rounding, so this one is put there by hand.
    const { stride, offset, buffer } = block.A(0);
    const bad = new Float32Array(7 * stride);
    for (let i = 0; i < 7; i++) bad[i * stride + i] = i === 2 ? -0.5 : 1;
    t.device.queue.writeBuffer(buffer, 4 * offset, bad);
    submit(managerOf(t), (recorder) => trials.refresh(recorder));
    const [low, ...high] = await words();
    assertEqual(low, 1, "the status of the small λ");
    assertEqual(high.join(), "0,0", "the status of the others");
    const [U] = await tried(t, trials, 0, G);
    assert(U!.every(Number.isFinite) && !isZero(U!), "U with the last inverse that there was");
    assertSame(await solved(t, curvature, G), main, "the curvature's own");
    for (const { text, boost, failures, ready } of await statusOf(managerOf(t), curvature)) {
      assertEqual(`${text} ${boost} ${failures} ${ready}`, "ok 1 0 true", "state of a layer");
    }
  });
});

trainingTest(
  "trials: as many dispatches as a refresh, the same bits beside it, and all memory back",
  async (t) => {
    const manager = managerOf(t);
    const count = (record: (recorder: Recorder) => void) => {
      const recorder = manager.record();
      record(recorder);
      recorder.submit();
      return recorder.dispatches;
    };
    await withCurvature(t, SHAPES, { damping: 0.1 }, async (curvature) => {
      const random = t.random(4);
      const batch = batchOf(t, random);
      const G = gradients(random);
      submit(manager, (recorder) => curvature.accumulate(recorder, updatesOf(batch)));
      const plain = count((recorder) => curvature.refresh(recorder));
      const alone = await solved(t, curvature, G);
      const trials = curvature.trials([0.5, 2]);
      const grouped = count((recorder) => trials.refresh(recorder, { own: true }));
      // Beside the sweep itself: how λ is split, what came of it, and each buffer of inverses.
      assertEqual(grouped, plain + 4, "dispatches");
      for (const [l, U] of (await solved(t, curvature, G)).entries()) {
        assertClose(U, alone[l]!, 1e-5, `U of layer ${l} beside trials`);
      }
      const { buffers, tables } = manager.counts;
      for (let k = 0; k < 3; k++) count((recorder) => trials.refresh(recorder, { own: true }));
      assertEqual(manager.counts.buffers, buffers, "buffers after warm-up");
      assertEqual(manager.counts.tables, tables, "tables after warm-up");
      trials.dispose();
      const { liveBuffers } = manager.counts;
      curvature.trials([1, 2, 3]).dispose();
      assertEqual(manager.counts.liveBuffers, liveBuffers, "buffers");
      for (const bad of [[], [0], [-1], [Number.NaN], [1, Number.POSITIVE_INFINITY]]) {
        assertThrows(() => curvature.trials(bad), ArgumentError, /multipliers/);
      }
    });
  },
);

for (const kind of ["kronecker", "eigen", "ekfac", "full", "diagonal"] as const) {
  trainingTest(
    `skip: ${kind} leaves out the batch that a word names, and counts what is not finite`,
    async (t) => {
      using word = new Word(t);
      const random = t.random(5);
      const G = gradients(random);
      const [first, second, third] = [batchOf(t, random), batchOf(t, random), batchOf(t, random)];
      const data = randomData(random, SHAPES[0]!);
      data.B[3] = Number.NaN;
      const broken = [testLayer(t, SHAPES[0]!, data), ...second.slice(1)];
      const options = { blocks: kind, damping: 0.1, emaDecay: 0.5 } as const;
      await withCurvature(t, SHAPES, options, async (whole) => {
        await withCurvature(t, SHAPES, options, async (own) => {
          const take = (curvature: Curvature, batch: typeof first, skip: number) => {
            word.set(skip, Uint32Array);
            submit(managerOf(t), (recorder) => {
              curvature.accumulate(recorder, updatesOf(batch), { skip: word });
              if (batch === first) curvature.refresh(recorder);
            });
          };
          take(own, first, 0);
          take(whole, first, 0);
          take(own, second, 1);
          take(own, broken, 0xffffffff);
          take(own, third, 0);
          take(whole, third, 0);
          for (const curvature of [own, whole]) submit(managerOf(t), (inner) => curvature.refresh(inner));
          assertSame(await solved(t, own, G), await solved(t, whole, G), "U");
          for (const [l, state] of (await statusOf(managerOf(t), own)).entries()) {
            assertEqual(state.batches.A, 2, `batches of layer ${l}`);
            assertEqual(state.skipped, l === 0 ? 1 : 0, `batches of layer ${l} that were not finite`);
          }
        });
      });
    },
  );
}

for (const kind of ["kronecker", "eigen", "ekfac", "full", "diagonal"] as const) {
  trainingTest(`skip: ${kind} forgets what came before where a word says so`, async (t) => {
    using word = new Word(t);
    const manager = managerOf(t);
    const random = t.random(7);
    const G = gradients(random);
    const batches = Array.from({ length: 4 }, () => batchOf(t, random));
    const options = { blocks: kind, damping: 0.1, emaDecay: 0.9 } as const;
    const run = (curvature: Curvature, which: readonly number[], skips: readonly number[]) => {
      for (const [k, skip] of skips.entries()) {
        word.set(skip, Uint32Array);
        submit(manager, (recorder) => {
          curvature.accumulate(recorder, updatesOf(batches[which[k]!]!), { skip: word });
          // Bases of the first batch, which EKFAC's spectrum is in.
          if (k === 0) curvature.refresh(recorder);
        });
      }
    };
    await withCurvature(t, SHAPES, options, async (whole) => {
      await withCurvature(t, SHAPES, options, async (own) => {
        run(own, [0, 1, 2, 3], [0, 0, 2, 0]);
        run(whole, [0, 2, 3], [0, 2, 0]);
        if (kind === "ekfac") {
          // Of what came before, the bases alone count: the spectrum is in them, and is carried over from them.
          assertSame(await solved(t, own, G), await solved(t, whole, G), "U before a refresh");
          for (const one of [own, whole]) submit(manager, (recorder) => one.refresh(recorder));
          assertSame(await solved(t, own, G), await solved(t, whole, G), "U after a refresh");
          return;
        }
        await withCurvature(t, SHAPES, options, async (fresh) => {
          run(fresh, [2, 3], [0, 0]);
          for (const one of [own, fresh]) submit(manager, (recorder) => one.refresh(recorder));
          assertSame(await solved(t, own, G), await solved(t, fresh, G), "U");
          for (const state of await statusOf(manager, own)) assertEqual(state.batches.A, 2, "batches");
        });
      });
    });
  });
}

trainingTest("stored numbers: what is no element of a storage buffer is refused", async (t) => {
  const { manager } = t.engine;
  const buffer = manager.createStorage("short", 4);
  const uniform = manager.createBuffer("uniform", 16, GPUBufferUsage.UNIFORM);
  await withCurvature(t, SHAPES, {}, async (curvature) => {
    const updates = updatesOf(batchOf(t, t.random(6)));
    const recorder = manager.record();
    const bad = [
      { buffer, index: 4 },
      { buffer, index: -1 },
      { buffer, index: 0.5 },
      { buffer: uniform, index: 0 },
      { buffer: undefined as never, index: 0 },
    ];
    for (const number of bad) {
      assertThrows(
        () => {
          curvature.storedDamping = number;
        },
        ArgumentError,
        /storedDamping must have/,
      );
      const accumulate = () => curvature.accumulate(recorder, updates, { skip: number });
      assertThrows(accumulate, ArgumentError, /skip must have/);
    }
    assertEqual(curvature.storedDamping, undefined, "λ of the GPU's");
    recorder.end();
  });
  manager.destroyBuffer(buffer);
  manager.destroyBuffer(uniform);
});
