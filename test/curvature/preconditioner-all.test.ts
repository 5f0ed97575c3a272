import { ArgumentError, UnsupportedLayerError } from "../../src/errors.js";
import { appendOnesColumn, type Matrix, scale, transpose } from "../../src/reference/matrix.js";
import type { PositionBlock } from "../../src/reference/operator.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { blockTwin } from "./block-twins.js";
import { download, normals, type Rows, target, upload } from "./helpers.js";
import { DAMPING, dataOf, LAYERS, open, rounded, statistics, update } from "./preconditioner-helpers.js";
import { dispatches } from "./spies.js";

trainingTest("preconditioner: all layers in one call give the bits that they give one by one", async (t) => {
  for (const loss of ["mean", "sum"] as const) {
    for (const layout of ["columns", "rows"] as const) {
      const random = t.random(11);
      const data = LAYERS.map((layer, l) => dataOf(random, layer, 16 + 9 * l, 1 + l));
      const run = async (together: boolean) => {
        const p = open(t, { loss });
        const own = LAYERS.map((_, l) =>
          statistics(t, data[l]!, { layout, loss, place: { offset: 3, gap: 1 } }),
        );
        const operands = LAYERS.map((layer, l) => {
          return { G: upload(t, data[l]!.G), into: target(t, layer.out, layer.in, { offset: 1, tail: 3 }) };
        });
        const named = <T>(list: readonly T[]) =>
          Object.fromEntries(LAYERS.map(({ name }, l) => [name, list[l]!]));
        t.submit((encoder) => {
          if (together) p.accumulateAll(encoder, named(own));
          else for (const [l, { name }] of LAYERS.entries()) p.accumulate(encoder, name, own[l]!);
          p.refresh(encoder);
          if (together) p.preconditionAll(encoder, named(operands));
          else for (const [l, { name }] of LAYERS.entries()) p.precondition(encoder, name, operands[l]!);
        });
        const U = await Promise.all(operands.map(({ into }) => download(t, into)));
        p.dispose();
        return U;
      };
      const [one, all] = [await run(false), await run(true)];
      for (const [l, U] of all.entries())
        assertClose(U, one[l]!, 0, `${loss}, ${layout}: U of ${LAYERS[l]!.name}`);
      assert(
        one[0]!.some((u) => u !== 0),
        "U is zero",
      );
    }
  }
});

trainingTest("preconditioner: one call for all layers dispatches no more than one layer alone", async (t) => {
  const p = open(t);
  const random = t.random(12);
  const data = LAYERS.map((layer) => dataOf(random, layer, 20));
  const named = (names: readonly string[]) => {
    const own = LAYERS.flatMap(({ name }, l) => (names.includes(name) ? [[name, data[l]!] as const] : []));
    const shared = t.upload(own.flatMap(([, { G }]) => [...Float32Array.from(G.data), 0, 0, 0, 0]));
    const out = t.upload(new Float32Array(shared.size / 4));
    let offset = 0;
    return Object.fromEntries(
      own.map(([name, { G }]) => {
        const place = { offset, rows: G.rows, cols: G.cols };
        offset += G.rows * G.cols;
        return [name, { G: { ...place, buffer: shared }, into: { ...place, buffer: out } }];
      }),
    );
  };
  const count = (names: readonly string[]) =>
    dispatches(t.device, () => t.submit((encoder) => p.preconditionAll(encoder, named(names))));
  const [one, all] = [await count(["fc1"]), await count(LAYERS.map(({ name }) => name))];
  assertEqual(all, one, "dispatches for all layers");
  p.dispose();
});

trainingTest("preconditioner: without an encoder nothing is recorded for nobody", (t) => {
  const p = open(t);
  const random = t.random(13);
  const data = dataOf(random, LAYERS[0]!, 20);
  const none = undefined as unknown as GPUCommandEncoder;
  const operands = { G: upload(t, data.G), into: target(t, 35, 9) };
  const calls: [string, () => void][] = [
    ["accumulate", () => p.accumulate(none, "fc1", statistics(t, data))],
    ["accumulate", () => p.accumulateAll(none, { fc1: statistics(t, data) })],
    ["refresh", () => p.refresh(none)],
    ["precondition", () => p.precondition(none, "fc1", operands)],
    ["precondition", () => p.preconditionAll({} as GPUCommandEncoder, { fc1: operands })],
  ];
  for (const [name, call] of calls) {
    assertThrows(call, ArgumentError, new RegExp(`${name}: encoder must be a GPUCommandEncoder, got`));
  }
  p.dispose();
});

/** A layer's rows as one block of positions; `A` and `B` are N · T and C · N · T rows. */
function positionsOf({ A, B }: Rows, examples: number): PositionBlock {
  const positions = A.rows / examples;
  const columns = B.rows / A.rows;
  const part = (M: Matrix, first: number): Matrix =>
    transpose({
      rows: positions,
      cols: M.cols,
      data: M.data.slice(first * M.cols, (first + positions) * M.cols),
    });
  return {
    A: Array.from({ length: examples }, (_, i) => part(A, i * positions)),
    B: Array.from({ length: examples }, (_, i) =>
      Array.from({ length: columns }, (_, c) => part(B, (c * examples + i) * positions)),
    ),
    divisor: examples,
  };
}

for (const kind of ["ekfac", "diagonal", "batch:reduce"] as const) {
  trainingTest(
    `preconditioner: ${kind} in place of Kronecker factors, both losses, with positions`,
    async (t) => {
      for (const loss of ["mean", "sum"] as const) {
        const p = open(t, { loss, blocks: kind, emaDecay: 0.7 });
        const random = t.random(14);
        const examples = [24, 40, 15];
        const twins = LAYERS.map(() => blockTwin(kind, 0.7));
        let gradients: Matrix[] = [];
        for (let step = 0; step < 3; step++) {
          // The last layer has two positions an example.
          const data = LAYERS.map((layer, l) => dataOf(random, layer, examples[l]! * (l === 2 ? 2 : 1), 2));
          gradients = data.map(({ G }) => G);
          const fed = LAYERS.map(({ name }, l) => {
            const layout = l === 1 ? ("columns" as const) : ("rows" as const);
            return [name, statistics(t, data[l]!, { loss, layout, examples: examples[l] })] as const;
          });
          t.submit((encoder) => {
            p.accumulateAll(encoder, Object.fromEntries(fed));
            if (step !== 1) p.refresh(encoder);
          });
          for (const [l, layer] of LAYERS.entries()) {
            const A = layer.bias ? appendOnesColumn(data[l]!.A) : data[l]!.A;
            twins[l]!.accumulate([positionsOf({ A, B: data[l]!.B }, examples[l]!)]);
            if (step !== 1) twins[l]!.refresh(DAMPING);
          }
        }
        for (const [l, { name }] of LAYERS.entries()) {
          const G = gradients[l]!;
          const own = loss === "mean" ? G : rounded(scale(G, examples[l]!));
          const wanted = twins[l]!.solve(G).data;
          assertClose(await update(t, p, name, own), wanted, 1e-3, `${loss}: U of ${name}`);
        }
        const wrong = statistics(t, dataOf(random, LAYERS[0]!, 20), { loss, examples: 7 });
        const feed = () => t.submit((encoder) => p.accumulate(encoder, "fc1", wrong));
        assertThrows(feed, ArgumentError, /A of fc1 must have a multiple of the 7 examples/);
        p.dispose();
      }
    },
  );
}

trainingTest("preconditioner: a layer of which G alone is known goes to the fallback", async (t) => {
  const layers = [...LAYERS, { name: "norm", in: 5, out: 4, withoutKronecker: "a norm" }];
  assertThrows(() => open(t, {}, layers), UnsupportedLayerError, /Layer norm \(a norm\).*fallback/);
  const p = open(t, { fallback: "gradient" }, layers);
  const G = normals(t.random(15), 4, 5);
  assertClose(await update(t, p, "norm", G), G.data, 1e-7, "U");
  const status = (await p.status()).at(-1)!;
  assert(status.ready && status.name === "norm", JSON.stringify(status));
  p.dispose();
});
