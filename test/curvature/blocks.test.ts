/** Every kind of block on the one contract, against f64: over several batches, mixed, and what each of them claims. */
import {
  BLOCK_KINDS,
  type CurvatureLayer,
  type DiagonalBlock,
  denseHessian,
  type EkfacBlock,
  GgnBlock,
} from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import type { Matrix as View } from "../../src/linalg/index.js";
import { dense, softmaxCrossEntropy, tanh, tied } from "../../src/network/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import { expandFactors, kroneckerApproximation } from "../../src/reference/approximations.js";
import { denseHessian as dense64, positionOperator } from "../../src/reference/operator.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { randomBatch } from "../network/helpers.js";
import {
  batchOf,
  distance,
  gradients,
  isZero,
  MIXED,
  SHAPES,
  solved,
  statusOf,
  updatesOf,
  withCurvature,
} from "./block-helpers.js";
import { appliedDense, blockTwin, EkfacTwin, FullTwin } from "./block-twins.js";
import { download } from "./helpers.js";
import { blank, store, submit } from "./layers.js";

for (const kind of BLOCK_KINDS) {
  trainingTest(`blocks: ${kind} over several batches, each layer and step against f64`, async (t) => {
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

trainingTest(
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

trainingTest(
  "blocks: ekfac's spectrum is blended in: without, or counted from elsewhere, it is another",
  async (t) => {
    const emaDecay = 0.9;
    await withCurvature(t, SHAPES, { blocks: "ekfac", emaDecay, damping: 0.2 }, async (curvature) => {
      const block = curvature.blocks[0] as EkfacBlock;
      const random = t.random(3);
      const twins = SHAPES.map(() => new EkfacTwin(emaDecay));
      const frozen = SHAPES.map(() => new EkfacTwin(emaDecay, expandFactors, { frozen: true }));
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

trainingTest(
  "blocks: ekfac carries its spectrum over into new bases, and leaves it in the same",
  async (t) => {
    const emaDecay = 0.9;
    await withCurvature(t, SHAPES, { blocks: "ekfac", emaDecay, damping: 0.2 }, async (curvature) => {
      const block = curvature.blocks[0] as EkfacBlock;
      const random = t.random(30);
      const twins = SHAPES.map(() => new EkfacTwin(emaDecay));
      const fresh = SHAPES.map(() => new EkfacTwin(emaDecay, expandFactors, { restarts: true }));
      const spectra = () => Promise.all(SHAPES.map((_, l) => download(t, block.spectrum(l))));
      for (let step = 1; step <= 6; step++) {
        const batch = batchOf(t, random);
        submit(managerOf(t), (recorder) => {
          curvature.accumulate(recorder, updatesOf(batch));
          if (step % 2 === 1) curvature.refresh(recorder);
        });
        for (const [l, own] of batch.entries()) {
          for (const twin of [twins[l]!, fresh[l]!]) {
            twin.accumulate([own.block]);
            if (step % 2 === 1) twin.refresh(0.2);
          }
        }
        for (const [l, D] of (await spectra()).entries()) {
          assertClose(D, twins[l]!.D!.data, 2e-4, `step ${step}: D of layer ${l}`);
          if (step < 3) continue;
          const error = () => assertClose(D, fresh[l]!.D!.data, 1e-2, "a spectrum that starts afresh");
          assertThrows(error, Error, /relative error/);
        }
      }
      // Once the bases are those of the means, further refreshes change nothing but the last bits.
      submit(managerOf(t), (recorder) => curvature.refresh(recorder));
      const before = await spectra();
      submit(managerOf(t), (recorder) => {
        for (let k = 0; k < 10; k++) curvature.refresh(recorder);
      });
      for (const [l, D] of (await spectra()).entries())
        assertClose(D, before[l]!, 2e-5, `D of layer ${l} after`);
    });
  },
);

trainingTest("blocks: a refresh of some layers leaves the others as they are", async (t) => {
  for (const kind of BLOCK_KINDS) {
    if (kind === "gradient") continue;
    await withCurvature(t, SHAPES, { blocks: kind, emaDecay: 0.5, damping: 0.3 }, async (curvature) => {
      const random = t.random(31);
      const twins = SHAPES.map(() => blockTwin(kind, 0.5));
      for (const layers of [undefined, [1], [2, 0]]) {
        const batch = batchOf(t, random);
        curvature.damping = layers ? 0.1 * layers.length : 0.3;
        submit(managerOf(t), (recorder) => {
          curvature.accumulate(recorder, updatesOf(batch));
          curvature.refresh(recorder, layers);
        });
        for (const [l, { block }] of batch.entries()) {
          twins[l]!.accumulate([block]);
          if (!layers || layers.includes(l)) twins[l]!.refresh(curvature.damping);
        }
        // What a fit to one batch does before its refresh is promised nowhere.
        const known = layers && kind.startsWith("batch:") ? layers : [0, 1, 2];
        const G = gradients(random);
        const U = await solved(t, curvature, G);
        const bound = kind === "batch:kfoc" ? 5e-3 : 2e-4;
        for (const l of known)
          assertClose(U[l]!, twins[l]!.solve(G[l]!).data, bound, `${kind}, layer ${l}: U`);
        for (const [l, state] of (await statusOf(managerOf(t), curvature)).entries()) {
          assertEqual(state.text, "ok", `${kind}, layer ${l}: status`);
          if (layers?.includes(l))
            assertClose([state.lambda], [curvature.damping], 1e-6, `${kind}: λ of layer ${l}`);
        }
      }
      const error = () => submit(managerOf(t), (recorder) => curvature.refresh(recorder, [3]));
      assertThrows(error, ArgumentError, /layer/);
    });
  }
});

trainingTest(
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

trainingTest("blocks: without damping, directions of no curvature are left out", async (t) => {
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

trainingTest("blocks: several kinds in one model, in one state and one call, and its table", async (t) => {
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

trainingTest(
  "blocks: a full block is the mean of the exact blocks, also where Jacobians come in several chunks",
  async (t) => {
    // 4,000 weights and 1,100 pairs: two chunks of the Jacobians, the second one a part.
    const large = { name: "large", in: 80, out: 50, positions: 1, examples: 550, columns: 2 };
    for (const shapes of [SHAPES, [large]]) {
      await withCurvature(t, shapes, { blocks: "full", emaDecay: 0.5, damping: 0.1 }, async (curvature) => {
        const random = t.random(32);
        const twins = shapes.map(() => new FullTwin(0.5));
        const steps = shapes === SHAPES ? 3 : 1;
        let layers = batchOf(t, random, shapes);
        for (let step = 1; step <= steps; step++) {
          submit(managerOf(t), (recorder) => curvature.accumulate(recorder, updatesOf(layers)));
          if (shapes === SHAPES) for (const [l, { block }] of layers.entries()) twins[l]!.accumulate([block]);
          if (step < steps) layers = batchOf(t, random, shapes);
        }
        for (const [l, { in: inputs, out }] of shapes.entries()) {
          const V = gradients(random, [{ in: inputs, out }])[0]!;
          const [own, into] = [store(t, V.data, out, inputs), blank(t, out, inputs)];
          submit(managerOf(t), (recorder) => curvature.apply(recorder, [{ layer: l, V: own, into }]));
          const wanted =
            shapes === SHAPES ? appliedDense(twins[l]!.H!, V) : positionOperator(layers[l]!.block).apply(V);
          assertClose(await download(t, into), wanted.data, 2e-5, `${shapes[l]!.name}: H V`);
        }
      });
    }
  },
);

trainingTest("blocks: a layer that offers G alone gets squares of the mean gradient, said so", async (t) => {
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

trainingTest("blocks: a layer that is applied twice has the diagonal of its own exact block", async (t) => {
  const modules = [dense(5, 5, { name: "twice" }), tanh(), tied("twice"), tanh(), dense(5, 3)];
  const net = t.engine.network(modules, softmaxCrossEntropy(), { batchSize: 12, seed: 4 });
  const manager = managerOf(t);
  net.load(randomBatch(t.random(16), 12, 5, 3, net.loss));
  const recorder = manager.record();
  const { layers } = net.recordPass(recorder, { kind: "exact" });
  recorder.submit();
  await withCurvature(t, net.layers, { blocks: "diagonal", damping: 0.1 }, async (curvature) => {
    submit(manager, (inner) =>
      curvature.accumulate(
        inner,
        layers.map((statistics, layer) => ({ layer, statistics })),
      ),
    );
    for (const [l, layer] of layers.entries()) {
      const exact = new GgnBlock(manager, layer);
      const { data, rows } = await denseHessian(manager, exact.over(layer));
      const own = await download(t, (curvature.blocks[0] as DiagonalBlock).diagonal(l));
      // H is on column-major vec(W).
      const diagonal = Array.from(own, (_, k) => {
        const at = (k % layer.in) * layer.out + Math.floor(k / layer.in);
        return data[at * (rows + 1)]!;
      });
      assertClose(own, diagonal, 1e-5, `diagonal of ${layer.name}`);
      exact.dispose();
    }
  });
  net.dispose();
});
