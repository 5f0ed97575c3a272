/** Every kind of block on the one contract: against f64 over several batches, mixed, resumed, averaged, refused. */
import {
  BLOCK_KINDS,
  type Block,
  type BlockFactory,
  type BlockItem,
  type BlockKind,
  type BlockSite,
  type BlockUpdate,
  Curvature,
  type CurvatureLayer,
  type CurvatureOptions,
  denseHessian,
  type EkfacBlock,
  LAYER_STATE_BYTES,
} from "../../src/curvature/index.js";
import { ArgumentError, LimitError, UnsupportedLayerError } from "../../src/errors.js";
import { blend } from "../../src/linalg/blend.js";
import { axpy, paddedView, type Matrix as View } from "../../src/linalg/index.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { expandFactors, kroneckerApproximation } from "../../src/reference/approximations.js";
import type { Matrix } from "../../src/reference/matrix.js";
import { denseHessian as dense64, positionOperator } from "../../src/reference/operator.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  kernelTest,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf } from "../network/helpers.js";
import { assertSame } from "../optimizers/helpers.js";
import { blockTwin, EkfacTwin } from "./block-twins.js";
import { download } from "./helpers.js";
import { blank, type LayerShape, randomData, store, submit, type TestLayer, testLayer } from "./layers.js";

/** Sizes that are odd and on both sides of a tile's edge, positions one and several; more rows than unknowns of a side. */
const SHAPES: (LayerShape & { name: string })[] = [
  { name: "plain", in: 7, out: 5, positions: 1, examples: 30, columns: 3 },
  { name: "wide", in: 33, out: 3, positions: 1, examples: 50, columns: 2 },
  { name: "positions", in: 6, out: 9, positions: 4, examples: 20, columns: 2 },
];

/** A batch of each layer. */
function batchOf(t: TestContext, random: Random, shapes = SHAPES): TestLayer[] {
  return shapes.map((shape) => testLayer(t, shape, randomData(random, shape)));
}

function updatesOf(batch: readonly TestLayer[]): BlockUpdate[] {
  return batch.map((statistics, layer) => ({ layer, statistics }));
}

function gradients(random: Random, shapes: readonly { in: number; out: number }[] = SHAPES): Matrix[] {
  return shapes.map(({ in: inputs, out }) => matrixOf(random.normals(out * inputs), out, inputs));
}

/** U of all layers, each in poison of its own. */
async function solved(t: TestContext, curvature: Curvature, G: readonly Matrix[]): Promise<Float32Array[]> {
  const items = G.map((own, layer): BlockItem => {
    return { layer, G: store(t, own.data, own.rows, own.cols), into: blank(t, own.rows, own.cols) };
  });
  submit(managerOf(t), (recorder) => curvature.precondition(recorder, items));
  return Promise.all(items.map(({ into }) => download(t, into)));
}

async function statusOf(manager: PipelineManager, curvature: Curvature) {
  const recorder = manager.record();
  const bytes = recorder.read(curvature.state, 0, curvature.layers.length * LAYER_STATE_BYTES);
  recorder.submit();
  return curvature.decode(await bytes);
}

async function withCurvature<T>(
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

const isZero = (numbers: Float32Array) => numbers.every((x) => x === 0);

for (const kind of BLOCK_KINDS) {
  kernelTest(`blocks: ${kind} over several batches, each layer and step against f64`, async (t) => {
    const emaDecay = 0.6;
    const options = { blocks: kind, emaDecay, damping: 0.3 };
    await withCurvature(t, SHAPES, options, async (curvature) => {
      const random = t.random(1);
      const twins = SHAPES.map(() => blockTwin(kind, emaDecay));
      for (let step = 1; step <= 5; step++) {
        const batch = batchOf(t, random);
        // The layers are handed over in another order than their own.
        submit(managerOf(t), (recorder) => curvature.accumulate(recorder, updatesOf(batch).reverse()));
        for (const [l, { block }] of batch.entries()) twins[l]!.accumulate([block]);
        if (step === 1 || step === 4) {
          curvature.damping = step === 1 ? 0.3 : 0.05;
          submit(managerOf(t), (recorder) => curvature.refresh(recorder));
          for (const twin of twins) twin.refresh(curvature.damping);
        } else if (kind.startsWith("batch:")) {
          // What such a block solves with may be renewed by the refresh alone: nothing is promised before it.
          continue;
        }
        const G = gradients(random);
        const U = await solved(t, curvature, G);
        for (const [l, own] of U.entries()) {
          const bound = kind === "batch:kfoc" ? 5e-3 : 2e-4;
          assertClose(own, twins[l]!.solve(G[l]!).data, bound, `step ${step}, ${SHAPES[l]!.name}: U`);
        }
      }
      for (const state of await statusOf(managerOf(t), curvature)) {
        assertEqual(state.text, "ok", `status of ${state.name}`);
        assertEqual(state.skipped + state.failures, 0, `trouble of ${state.name}`);
        assertEqual(state.boost, 1, `boost of ${state.name}`);
        if (kind === "gradient") continue;
        assertClose([state.lambda], [0.05], 1e-6, `λ of ${state.name}`);
        assertEqual(state.batches.A, kind.startsWith("batch:") ? 1 : 5, `batches of ${state.name}`);
      }
    });
  });
}

kernelTest(
  "blocks: U is zero before a layer's first refresh with data, but for the plain gradient",
  async (t) => {
    for (const kind of BLOCK_KINDS) {
      await withCurvature(t, SHAPES, { blocks: kind, damping: 0.1 }, async (curvature) => {
        const random = t.random(2);
        const G = gradients(random);
        const expectZero = async (layers: readonly number[], when: string) => {
          const U = await solved(t, curvature, G);
          for (const l of layers) assert(isZero(U[l]!), `${kind}: U of layer ${l} ${when} is not zero`);
        };
        if (kind === "gradient") {
          const U = await solved(t, curvature, G);
          for (const [l, own] of U.entries()) assertClose(own, G[l]!.data, 1e-7, `${kind}: U of layer ${l}`);
          const states = await statusOf(managerOf(t), curvature);
          assert(
            states.every(({ ready }) => ready),
            "the gradient is always ready",
          );
          return;
        }
        await expectZero([0, 1, 2], "at first");
        submit(managerOf(t), (recorder) => curvature.refresh(recorder));
        await expectZero([0, 1, 2], "after a refresh without data");
        const [first] = batchOf(t, random);
        submit(managerOf(t), (recorder) =>
          curvature.accumulate(recorder, [{ layer: 0, statistics: first! }]),
        );
        await expectZero([0, 1, 2], "before the refresh");
        submit(managerOf(t), (recorder) => curvature.refresh(recorder));
        await expectZero([1, 2], "of layers without data");
        const [U] = await solved(t, curvature, G);
        assert(!isZero(U!), `${kind}: U after data and refresh is zero`);
        const ready = (await statusOf(managerOf(t), curvature)).map((state) => state.ready);
        assertEqual(ready.join(), "true,false,false", `${kind}: ready`);
      });
    }
  },
);

kernelTest(
  "blocks: ekfac's spectrum is blended in: without, or counted from elsewhere, it is another",
  async (t) => {
    const emaDecay = 0.9;
    await withCurvature(t, SHAPES, { blocks: "ekfac", emaDecay, damping: 0.2 }, async (curvature) => {
      const block = curvature.blocks[0] as EkfacBlock;
      const random = t.random(3);
      const twins = SHAPES.map(() => new EkfacTwin(emaDecay));
      const frozen = SHAPES.map(() => new EkfacTwin(emaDecay, expandFactors, true));
      for (let step = 1; step <= 6; step++) {
        const batch = batchOf(t, random);
        submit(managerOf(t), (recorder) => {
          curvature.accumulate(recorder, updatesOf(batch));
          if (step === 3) curvature.refresh(recorder);
        });
        for (const [l, own] of batch.entries()) {
          for (const twin of [twins[l]!, frozen[l]!]) twin.accumulate([own.block]);
        }
        if (step === 3) for (const twin of [...twins, ...frozen]) twin.refresh(0.2);
        if (step < 3) continue;
        for (const [l, twin] of twins.entries()) {
          const D = await download(t, block.spectrum(l));
          assertClose(D, twin.D!.data, 2e-4, `step ${step}: D of layer ${l}`);
          assertClose(
            await download(t, block.A(l)),
            twin.mean!.A.data,
            1e-5,
            `step ${step}: Ā of layer ${l}`,
          );
          if (step === 3) continue;
          const error = () => assertClose(D, frozen[l]!.D!.data, 1e-2, "a spectrum that stands still");
          assertThrows(error, Error, /relative error/);
        }
      }
    });
  },
);

/** ‖X − H‖/‖H‖ */
function distance(X: ArrayLike<number>, H: ArrayLike<number>): number {
  let [gap, size] = [0, 0];
  for (let k = 0; k < H.length; k++) {
    gap += (X[k]! - H[k]!) ** 2;
    size += H[k]! ** 2;
  }
  return Math.sqrt(gap / size);
}

kernelTest(
  "blocks: batch for batch ekfac draws nearer to H than the Kronecker product, which stays",
  async (t) => {
    for (const shape of SHAPES) {
      const [layer] = batchOf(t, t.random(4), [shape]);
      const H = dense64(positionOperator(layer!.block)).data;
      const product = distance(kroneckerApproximation("", expandFactors(layer!.block)).dense().data, H);
      for (const kind of ["ekfac", "kronecker"] as const) {
        await withCurvature(t, [shape], { blocks: kind, damping: 0.1, emaDecay: 0.95 }, async (curvature) => {
          const operator = {
            rows: shape.out,
            cols: shape.in,
            apply: (recorder: Recorder, V: View, into: View) =>
              curvature.apply(recorder, [{ layer: 0, V, into }]),
          };
          const errors: number[] = [];
          for (let step = 1; step <= 5; step++) {
            submit(managerOf(t), (recorder) => {
              curvature.accumulate(recorder, [{ layer: 0, statistics: layer! }]);
              if (step === 1) curvature.refresh(recorder);
            });
            errors.push(distance((await denseHessian(managerOf(t), operator)).data, H));
          }
          const text = `${kind} of ${shape.name}: ${errors.join(", ")} with ${product}`;
          assert(Math.abs(errors[0]! - product) < 1e-4, text);
          for (let k = 1; k < errors.length; k++) {
            if (kind === "ekfac") assert(errors[k]! < errors[k - 1]! - 1e-4, text);
            else assert(Math.abs(errors[k]! - product) < 1e-4, text);
          }
        });
      }
    }
  },
);

kernelTest("blocks: without damping, directions of no curvature are left out", async (t) => {
  // Two examples of one column: most of each spectrum is zero.
  const shape = { name: "thin", in: 9, out: 4, positions: 1, examples: 2, columns: 1 };
  for (const kind of ["ekfac", "diagonal"] as const) {
    await withCurvature(t, [shape], { blocks: kind, damping: 0 }, async (curvature) => {
      const random = t.random(5);
      const [layer] = batchOf(t, random, [shape]);
      const twin = blockTwin(kind, 0.95);
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, updatesOf([layer!]));
        curvature.refresh(recorder);
      });
      twin.accumulate([layer!.block]);
      twin.refresh(0);
      const G = gradients(random, [shape]);
      const [U] = await solved(t, curvature, G);
      if (kind === "diagonal") assertClose(U!, twin.solve(G[0]!).data, 1e-4, kind);
      // The basis of a null space is anybody's choice; what is left of G in it is not.
      else assertClose(U!, twin.solve(G[0]!).data, 2e-2, kind);
    });
  }
});

const POISONS = [Number.NaN, Number.POSITIVE_INFINITY, 1e30] as const;

for (const kind of BLOCK_KINDS.filter((one) => one !== "gradient")) {
  kernelTest(
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
            const data = randomData(random, SHAPES[0]!);
            data[side][5] = bad;
            const next = batchOf(t, random);
            take([testLayer(t, SHAPES[0]!, data), ...next.slice(1)]);
            for (const l of [1, 2]) twins[l]!.accumulate([next[l]!.block]);
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
            const takes = overflown && ["kronecker", "ekfac", "batch:kfoc"].includes(kind);
            if (!takes) {
              assertEqual(state!.skipped, 1, `${what}: batches left out`);
              for (const twin of twins) twin.refresh(0.1);
              if (remembers) assertClose(first!, twins[0]!.solve(G[0]!).data, 3e-4, `${what}: U`);
              else assert(isZero(first!), `${what}: U without a fit is not zero`);
              assertEqual(state!.ready, remembers, `${what}: ready`);
            }
            for (const [k, own] of others.entries()) {
              for (const twin of twins) twin.refresh(0.1);
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

kernelTest("blocks: ekfac keeps its bases where eigenvectors are not found, and recovers", async (t) => {
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
  kernelTest(`blocks: ${kind} goes on bit for bit from its tensors`, async (t) => {
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

kernelTest("blocks: means of ranks, weighed by their examples, are those of all examples", async (t) => {
  const [part, rest] = [8, 22];
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
  for (const kind of ["kronecker", "ekfac", "diagonal"] as const) {
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

const MIXED: CurvatureLayer[] = [
  { name: "a", in: 7, out: 5 },
  { name: "b", in: 33, out: 3 },
  { name: "c", in: 6, out: 9, withoutKronecker: "a kind without" },
];

kernelTest("blocks: several kinds in one model, in one state and one call, and its table", async (t) => {
  const blocks = (layer: CurvatureLayer) =>
    layer.name === "b" ? ("ekfac" as const) : ("kronecker" as const);
  const options = { blocks, fallback: "diagonal", damping: 0.1, emaDecay: 0.8 } as const;
  await withCurvature(t, MIXED, options, async (curvature) => {
    const kinds = ["kronecker", "ekfac", "diagonal"] as const;
    assertEqual(curvature.blocks.map(({ name }) => name).join(), kinds.join(), "blocks");
    const names = Object.keys(curvature.tensors).join();
    assertEqual(
      names,
      "factors,inverses,ekfac.factors,ekfac.spectrum,ekfac.bases,ekfac.transposes,ekfac.counts,diagonal.mean,layerState",
      "tensors",
    );
    assertEqual(
      Object.keys(curvature.means).join(),
      "factors,ekfac.factors,ekfac.spectrum,diagonal.mean",
      "means",
    );
    const table = curvature.describe();
    assertEqual(table.map(({ layer }) => layer).join(), "a,b,c", "layers of the table");
    assertEqual(table.map(({ block }) => block).join(), kinds.join(), "blocks of the table");
    assertEqual(
      table.map(({ why }) => why).join(),
      "asked for,asked for,fallback: a kind without",
      "reasons of the table",
    );
    assert(table[2]!.estimate.includes("9 × 6"), table[2]!.estimate);
    assertEqual(curvature.factors(2), undefined, "factors of a diagonal");
    const random = t.random(10);
    const twins = kinds.map((kind) => blockTwin(kind, 0.8));
    for (let step = 0; step < 3; step++) {
      const batch = batchOf(t, random);
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, updatesOf(batch));
        curvature.refresh(recorder);
      });
      for (const [l, { block }] of batch.entries()) {
        twins[l]!.accumulate([block]);
        twins[l]!.refresh(0.1);
      }
    }
    const G = gradients(random);
    for (const [l, U] of (await solved(t, curvature, G)).entries()) {
      assertClose(U, twins[l]!.solve(G[l]!).data, 2e-4, `U of layer ${l}`);
    }
    for (const { text, batches, name } of await statusOf(managerOf(t), curvature)) {
      assertEqual(text, "ok", `status of ${name}`);
      assertEqual(batches.A, 3, `batches of ${name}`);
    }
    curvature.damping = 3;
    for (const block of curvature.blocks) assertEqual(block.damping, 3, `damping of ${block.name}`);
  });
});

kernelTest("blocks: a layer that offers G alone gets squares of the mean gradient, said so", async (t) => {
  const g = gradients(t.random(11), [SHAPES[0]!])[0]!;
  const G = store(t, g.data, g.rows, g.cols);
  const layer = { name: "norm", in: 7, out: 5, G, withoutExamples: "a norm" };
  await withCurvature(t, [layer], { blocks: "diagonal", damping: 0.5, emaDecay: 0.5 }, async (curvature) => {
    assert(curvature.describe()[0]!.estimate.startsWith("squares of the mean gradient"), "the table");
    const statistics = {
      inputs: () => assert(false, "the statistics are read"),
      outputs: () => assert(false, "the statistics are read"),
    } as never;
    const twin = blockTwin("diagonal", 0.5);
    const squares = new (twin.constructor as new (decay: number, squares: boolean) => typeof twin)(0.5, true);
    for (let step = 1; step <= 3; step++) {
      const fresh = gradients(t.random(step), [SHAPES[0]!])[0]!;
      const all = new Float32Array(5 * 8).fill(Number.NaN);
      for (let i = 0; i < 5; i++) all.set(fresh.data.subarray(7 * i, 7 * i + 7), 8 * i);
      t.device.queue.writeBuffer(G.buffer, 0, all);
      submit(managerOf(t), (recorder) => {
        curvature.accumulate(recorder, [{ layer: 0, statistics }]);
        curvature.refresh(recorder);
      });
      squares.accumulate([], fresh);
      squares.refresh(0.5);
      const own = gradients(t.random(20 + step), [SHAPES[0]!]);
      const [U] = await solved(t, curvature, own);
      assertClose(U!, squares.solve(own[0]!).data, 1e-5, `step ${step}: U`);
    }
  });
});

kernelTest(
  "blocks: what no block can do with is refused at construction, by name, with both fallbacks",
  (t) => {
    const manager = managerOf(t);
    const before = manager.counts.liveBuffers;
    const make = (options: CurvatureOptions, layers: CurvatureLayer[] = MIXED) => {
      return () => new Curvature(manager, layers, options);
    };
    const both = /Layer c \(a kind without\).*fallback: "diagonal".*fallback: "gradient"/;
    assertThrows(make({}), UnsupportedLayerError, both);
    for (const kind of BLOCK_KINDS) {
      const able = ["diagonal", "gradient", "batch:diagonal"].includes(kind);
      if (able) make({ blocks: kind })().dispose();
      else assertThrows(make({ blocks: kind }), UnsupportedLayerError, both);
      for (const fallback of ["diagonal", "gradient"] as const) make({ blocks: kind, fallback })().dispose();
    }
    const blind = { name: "d", in: 3, out: 2, withoutExamples: "a kind with G alone" };
    assertThrows(make({}, [blind]), UnsupportedLayerError, /Layer d .*fallback/);
    assertThrows(make({ fallback: "diagonal" }, [blind]), UnsupportedLayerError, /give the layer a G/);
    make({ fallback: "gradient" }, [blind])().dispose();
    assertThrows(
      make({ fallback: "sgd" as never }),
      ArgumentError,
      /fallback must be diagonal or gradient, got sgd/,
    );
    assertThrows(
      make({ blocks: "kfac" as never }),
      ArgumentError,
      /blocks of layer a must be one of kronecker, ekfac/,
    );
    assertThrows(make({ blocks: (() => 7) as never }), ArgumentError, /blocks of layer a must be .* got 7/);
    assertThrows(make({ damping: -1 }), ArgumentError, /damping/);
    assertThrows(make({}, []), ArgumentError, /layers must be at least one/);
    const vast = { name: "e", in: 1_000_000, out: 3 };
    for (const kind of ["kronecker", "ekfac"] as const) {
      assertThrows(make({ blocks: kind }, [{ name: "x", in: 3, out: 3 }, vast]), LimitError);
    }
    const mixed = ({ name }: CurvatureLayer) =>
      name === "e" ? ("kronecker" as const) : ("diagonal" as const);
    assertThrows(make({ blocks: mixed }, [{ name: "x", in: 3, out: 3 }, vast]), LimitError);
    assertEqual(manager.counts.liveBuffers, before, "buffers");
    const curvature = new Curvature(manager, SHAPES);
    assertThrows(() => curvature.place(3), ArgumentError, /layer must be below 3, got 3/);
    curvature.dispose();
  },
);

/** A kind of the caller's: λ alone, so that U = G/λ as of the last refresh; counts what it is asked. */
class Scaled implements Block {
  readonly name = "scaled";
  readonly tensors = {};
  readonly means = {};
  damping: number;
  asked = 0;
  readonly #site: BlockSite;

  constructor(site: BlockSite) {
    this.#site = site;
    this.damping = site.damping;
    this.reset();
  }

  accumulate(_recorder: Recorder, updates: readonly BlockUpdate[]): void {
    this.asked += updates.length;
  }

  refresh(): void {}

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    const pairs = paddedView(recorder.scratch(4), 0, 1, 4);
    recorder.clear(pairs.buffer);
    for (const { G, into } of items) {
      blend(recorder, [{ T: G, S: into, scale: 0 }], pairs.buffer);
      axpy(recorder, [{ alpha: 1 / this.damping, X: G, Y: into }]);
    }
  }

  describe() {
    return this.#site.layers.map(({ name }) => ({ layer: name, estimate: "λ alone" }));
  }

  reset(): void {
    this.#site.states.reset(this.#site.entries, { ready: true });
  }

  dispose(): void {}

  [Symbol.dispose](): void {}
}

kernelTest("blocks: a kind of the caller's own is a function, beside the library's", async (t) => {
  const made: Scaled[] = [];
  const factory: BlockFactory = (site) => {
    made.push(new Scaled(site));
    return made.at(-1)!;
  };
  const blocks = ({ name }: CurvatureLayer) => (name === "wide" ? ("diagonal" as const) : factory);
  await withCurvature(t, SHAPES, { blocks, damping: 0.25 }, async (curvature) => {
    assertEqual(made.length, 1, "blocks made for two layers");
    const random = t.random(12);
    const batch = batchOf(t, random);
    submit(managerOf(t), (recorder) => {
      curvature.accumulate(recorder, updatesOf(batch));
      curvature.refresh(recorder);
    });
    assertEqual(made[0]!.asked, 2, "updates");
    const G = gradients(random);
    const U = await solved(t, curvature, G);
    for (const l of [0, 2])
      assertClose(
        U[l]!,
        G[l]!.data.map((g) => 4 * g),
        1e-6,
        `U of layer ${l}`,
      );
    const twin = blockTwin("diagonal", 0.95);
    twin.accumulate([batch[1]!.block]);
    twin.refresh(0.25);
    assertClose(U[1]!, twin.solve(G[1]!).data, 1e-4, "U of the library's block");
    assertEqual(curvature.describe()[2]!.estimate, "λ alone", "the table");
    const products = () =>
      submit(managerOf(t), (recorder) =>
        curvature.apply(recorder, [{ layer: 0, V: blank(t, 5, 7), into: blank(t, 5, 7) }]),
      );
    assertThrows(products, UnsupportedLayerError, /plain.*scaled.*no product/);
  });
});

kernelTest("blocks: nothing grows after warm-up, and everything is given back", async (t) => {
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
