/** Blocks in trouble and across borders: numbers that are not finite, checkpoints, ranks, memory. */
import { BLOCK_KINDS, type BlockKind, Curvature, type EkfacBlock } from "../../src/curvature/index.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertWritten,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { assertSame } from "../optimizers/helpers.js";
import {
  batchOf,
  distance,
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
import { blank, type LayerShape, randomData, store, submit, type TestLayer, testLayer } from "./layers.js";

const POISONS = [Number.NaN, Number.POSITIVE_INFINITY, 1e30] as const;

for (const kind of BLOCK_KINDS.filter((one) => one !== "gradient")) {
  trainingTest(
    `blocks: ${kind} leaves a batch out whose numbers are not finite, or whose squares overflow`,
    async (t) => {
      const remembers = !kind.startsWith("batch:");
      for (const side of ["A", "B"] as const) {
        for (const bad of POISONS) {
          const what = `${kind}, ${bad} in ${side}`;
          const options = { blocks: kind, damping: 0.1, emaDecay: 0.5 };
          await withCurvature(t, SHAPES, options, async (curvature) => {
            const random = t.random(6);
            const twins = SHAPES.map(() => blockTwin(kind, 0.5));
            const take = (batch: readonly TestLayer[]) =>
              submit(managerOf(t), (recorder) => {
                curvature.accumulate(recorder, updatesOf(batch));
                curvature.refresh(recorder);
              });
            const good = batchOf(t, random);
            take(good);
            for (const [l, own] of good.entries()) twins[l]!.accumulate([own.block]);
            for (const twin of twins) twin.refresh(0.1);
            const data = randomData(random, SHAPES[0]!);
            data[side][5] = bad;
            const next = batchOf(t, random);
            take([testLayer(t, SHAPES[0]!, data), ...next.slice(1)]);
            for (const l of [1, 2]) twins[l]!.accumulate([next[l]!.block]);
            for (const twin of twins) twin.refresh(0.1);
            const G = gradients(random);
            const [first, ...others] = await solved(t, curvature, G);
            const [state, ...healthy] = await statusOf(managerOf(t), curvature);
            assertWritten(first!, `${what}: U`);
            for (const name of ["skipped", "failures"] as const) {
              assert(
                healthy.every((own) => own[name] === 0),
                `${what}: ${name} of the others`,
              );
            }
            const overflown = bad === 1e30;
            // Means of factors take a finite batch in, overflow and start afresh; kfoc's factors are scaled on the way.
            const takes =
              overflown && ["kronecker", "expand", "reduce", "eigen", "ekfac", "batch:kfoc"].includes(kind);
            if (!takes) {
              assertEqual(state!.skipped, 1, `${what}: batches left out`);
              if (remembers) assertClose(first!, twins[0]!.solve(G[0]!).data, 3e-4, `${what}: U`);
              else assert(isZero(first!), `${what}: U without a fit is not zero`);
              assertEqual(state!.ready, remembers, `${what}: ready`);
            }
            for (const [k, own] of others.entries()) {
              const bound = kind === "batch:kfoc" ? 5e-3 : 3e-4;
              assertClose(own, twins[k + 1]!.solve(G[k + 1]!).data, bound, `${what}: U of layer ${k + 1}`);
            }
            for (const [name, buffer] of Object.entries(curvature.tensors)) {
              if (name === "layerState" || (takes && name.endsWith("actors"))) continue;
              const numbers = await t.download(buffer);
              assert(numbers.every(Number.isFinite), `${what}: ${name} holds numbers that are not finite`);
            }
            // And the next good batch is taken as if nothing had been.
            const last = batchOf(t, random);
            take(last);
            for (const [l, own] of last.entries()) twins[l]!.accumulate([own.block]);
            for (const twin of twins) twin.refresh(0.1);
            const again = await solved(t, curvature, G);
            for (const [l, own] of again.entries()) {
              if (takes && l === 0 && remembers) continue;
              const bound = kind === "batch:kfoc" ? 5e-3 : 3e-4;
              assertClose(own, twins[l]!.solve(G[l]!).data, bound, `${what}: U of layer ${l} afterwards`);
            }
          });
        }
      }
    },
  );
}

trainingTest("blocks: ekfac keeps its bases where eigenvectors are not found, and recovers", async (t) => {
  const shape = SHAPES[0]!;
  await withCurvature(t, [shape], { blocks: "ekfac", damping: 0.1, emaDecay: 0.5 }, async (curvature) => {
    const block = curvature.blocks[0] as EkfacBlock;
    const random = t.random(7);
    const good = batchOf(t, random, [shape]);
    const once = (batch: readonly TestLayer[]) =>
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, updatesOf(batch));
        curvature.refresh(recorder);
      });
    once(good);
    const before = await download(t, block.basisA(0));
    const G = gradients(random, [shape]);
    const [U] = await solved(t, curvature, G);
    const huge = randomData(random, shape);
    huge.A.fill(1e25);
    once([testLayer(t, shape, huge)]);
    let [state] = await statusOf(managerOf(t), curvature);
    assertEqual(state!.failures, 1, "failures");
    assertEqual(state!.batches.A, 0, "the mean of A starts afresh");
    assertEqual(state!.batches.B, 2, "the mean of B goes on");
    assertEqual(state!.ready, true, "ready");
    assertEqual(state!.boost, 1, "boost: λ does not help");
    assert(state!.text.startsWith("numbers that are not finite"), `status in words: ${state!.text}`);
    assertClose(await download(t, block.basisA(0)), before, 0, "the bases");
    assertClose((await solved(t, curvature, G))[0]!, U!, 1e-6, "U goes on with what stands");
    once(batchOf(t, random, [shape]));
    [state] = await statusOf(managerOf(t), curvature);
    assertEqual(state!.text, "ok", "status afterwards");
    assert(
      (await download(t, block.basisA(0))).some((x, k) => x !== before[k]),
      "the bases are new",
    );
  });
});

/** Numbers of a buffer, as words. */
function wordsOf(t: TestContext, buffer: GPUBuffer): Promise<Uint32Array<ArrayBuffer>> {
  return t.downloadWords(buffer);
}

for (const kind of BLOCK_KINDS) {
  trainingTest(`blocks: ${kind} goes on bit for bit from its tensors`, async (t) => {
    const options = { blocks: kind, damping: 0.2, emaDecay: 0.8 };
    const random = t.random(8);
    const batches = Array.from({ length: 6 }, () => batchOf(t, random));
    const G = gradients(random);
    const take = (curvature: Curvature, k: number) =>
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, updatesOf(batches[k]!));
        if (k % 3 === 0) curvature.refresh(recorder);
      });
    await withCurvature(t, SHAPES, options, async (whole) => {
      for (let k = 0; k < 4; k++) take(whole, k);
      const saved = new Map<string, Uint32Array<ArrayBuffer>>();
      for (const [name, buffer] of Object.entries(whole.tensors)) saved.set(name, await wordsOf(t, buffer));
      const at = await solved(t, whole, G);
      whole.damping = 0.7;
      for (let k = 4; k < 6; k++) take(whole, k);
      const expected = await solved(t, whole, G);
      // λ is another when it is put back: what counts is the last refresh's.
      await withCurvature(t, SHAPES, { ...options, damping: 9 }, async (other) => {
        assertEqual(Object.keys(other.tensors).join(), [...saved.keys()].join(), "names");
        for (const [name, buffer] of Object.entries(other.tensors)) {
          t.device.queue.writeBuffer(buffer, 0, saved.get(name)!);
        }
        assertSame(await solved(t, other, G), at, "U as it was");
        other.damping = 0.7;
        for (let k = 4; k < 6; k++) take(other, k);
        assertSame(await solved(t, other, G), expected, "U later");
        for (const [name, buffer] of Object.entries(other.tensors)) {
          assertSame([await wordsOf(t, buffer)], [await wordsOf(t, whole.tensors[name]!)], name);
        }
        other.reset();
        for (const own of await solved(t, other, G)) {
          assert(kind === "gradient" || isZero(own), "U after reset() is not zero");
        }
      });
    });
  });
}

/** Σ w_r mean_r, written back to every rank. */
async function averageMeans(
  t: TestContext,
  ranks: readonly Curvature[],
  weights: readonly number[],
): Promise<void> {
  for (const name of Object.keys(ranks[0]!.means)) {
    const all = await Promise.all(ranks.map(({ means }) => t.download(means[name]!)));
    const mean = Float32Array.from(all[0]!, (_, k) =>
      all.reduce((sum, numbers, rank) => sum + weights[rank]! * numbers[k]!, 0),
    );
    for (const { means } of ranks) t.device.queue.writeBuffer(means[name]!, 0, mean);
  }
}

trainingTest("blocks: means of ranks, weighed by their examples, are those of all examples", async (t) => {
  // More examples than inputs: what a spectrum is in the basis of a null space is a matter of the last bits.
  const [part, rest] = [8, 32];
  const whole = part + rest;
  const shapes = SHAPES.map((shape) => ({ ...shape, examples: whole }));
  const slice = (shape: LayerShape, data: { A: Float32Array; B: Float32Array }, from: number, to: number) => {
    const { in: inputs, out, positions: T, columns: C } = shape;
    const blocks = Array.from({ length: C }, (_, c) =>
      data.B.slice((c * whole + from) * T * out, (c * whole + to) * T * out),
    );
    return testLayer(
      t,
      { ...shape, examples: to - from },
      {
        A: data.A.slice(from * T * inputs, to * T * inputs),
        B: Float32Array.from(blocks.flatMap((own) => [...own])),
      },
    );
  };
  for (const kind of ["kronecker", "eigen", "ekfac", "full", "diagonal"] as const) {
    const options = { blocks: kind, damping: 0.1, emaDecay: 0.7 };
    const run = async (weights: readonly number[]) => {
      const curvatures = [0, 1, 2].map(() => new Curvature(managerOf(t), shapes, options));
      const ranks = curvatures.slice(1);
      const random = t.random(9);
      for (let step = 1; step <= 4; step++) {
        const data = shapes.map((shape) => randomData(random, shape));
        const parts = [
          shapes.map((shape, l) => testLayer(t, shape, data[l]!)),
          shapes.map((shape, l) => slice(shape, data[l]!, 0, part)),
          shapes.map((shape, l) => slice(shape, data[l]!, part, whole)),
        ];
        submit(managerOf(t), (recorder) => {
          for (const [k, own] of curvatures.entries()) own.accumulate(recorder, updatesOf(parts[k]!));
        });
        await averageMeans(t, ranks, weights);
        if (step % 2 === 1) {
          submit(managerOf(t), (recorder) => {
            for (const own of curvatures) own.refresh(recorder);
          });
        }
      }
      const G = gradients(random, shapes);
      const [expected, ...own] = await Promise.all(curvatures.map((one) => solved(t, one, G)));
      const gaps = own.flatMap((U) => U.map((numbers, l) => distance(numbers, expected![l]!)));
      for (const one of curvatures) one.dispose();
      return Math.max(...gaps);
    };
    const right = await run([part / whole, rest / whole]);
    assert(right < 2e-4, `${kind}: ranks are ${right} from the whole`);
    const wrong = await run([0.5, 0.5]);
    assert(wrong > 1e-2, `${kind}: weights that are wrong do not show, ${wrong}`);
  }
});

trainingTest("blocks: nothing grows after warm-up, and everything is given back", async (t) => {
  const manager = managerOf(t);
  for (const kind of BLOCK_KINDS as readonly BlockKind[]) {
    const random = t.random(13);
    const batch = batchOf(t, random);
    const G = gradients(random);
    const items = G.map((own, layer) => ({
      layer,
      G: store(t, own.data, own.rows, own.cols),
      into: blank(t, own.rows, own.cols),
    }));
    const made = new Curvature(manager, SHAPES, { blocks: kind, damping: 0.1 });
    const once = () =>
      submit(manager, (recorder) => {
        made.accumulate(recorder, updatesOf(batch));
        made.refresh(recorder);
        made.precondition(recorder, items);
      });
    for (let k = 0; k < 5; k++) once();
    const { counts } = manager;
    for (let k = 0; k < 3; k++) once();
    for (const key of ["buffers", "tables", "pipelines"] as const) {
      assertEqual(manager.counts[key], counts[key], `${kind}: ${key} after warm-up`);
    }
    made.dispose();
    const before = manager.counts.liveBuffers;
    new Curvature(manager, SHAPES, { blocks: kind }).dispose();
    assertEqual(manager.counts.liveBuffers, before, `${kind}: buffers`);
  }
});
