/** The tail of a step on matrices alone: decay, flags, norms, clip, momentum, weights. */
import { paddedLength, paddedView } from "../../src/linalg/index.js";
import type { Model, Trainable } from "../../src/model/index.js";
import type { Update } from "../../src/optimizers/index.js";
import { OptimizerMemory } from "../../src/optimizers/memory.js";
import { StepTail, type TailSettings } from "../../src/optimizers/tail.js";
import {
  assert,
  assertClose,
  assertEqual,
  kernelTest,
  POISON,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";

/** Round the edges of a workgroup's 16 rows, of vectors and of chunks of 4096 numbers. */
const SHAPES = [
  [1, 1],
  [15, 3],
  [16, 5],
  [17, 130],
  [33, 64],
  [70, 1],
  [63, 130],
  [64, 64],
] as const;

const SETTINGS: TailSettings = {
  learningRate: 0.1,
  momentum: 0.9,
  weightDecay: 0,
  decay: "coupled",
  gradientClip: 0,
  klClip: 0,
};

interface Numbers {
  W: Float32Array;
  G: Float32Array;
  U: Float32Array;
}

/** Layers in buffers whose gaps are poisoned; numbers of the layers, one array for all. */
function setUp(
  t: TestContext,
  options: { scope?: "network" | "layer"; momentum?: boolean; edit?: (numbers: Numbers[]) => void } = {},
) {
  const { scope = "layer", momentum = true, edit } = options;
  const random: Random = t.random(4);
  const numbers = SHAPES.map(([rows, cols]): Numbers => {
    const make = () => random.normals(rows * cols);
    return { W: make(), G: make(), U: make() };
  });
  edit?.(numbers);
  const lengths = SHAPES.map(([rows, cols]) => paddedLength(rows, cols));
  const starts = lengths.map((_, l) => lengths.slice(0, l).reduce((sum, length) => sum + length, 0));
  const length = lengths.reduce((sum, own) => sum + own, 0);
  const view = (buffer: GPUBuffer, l: number) => paddedView(buffer, starts[l]!, SHAPES[l]![0], SHAPES[l]![1]);
  const spread = (name: keyof Numbers) => {
    const data = Float32Array.from({ length }, (_, k) => (k % 2 === 0 ? Number.NaN : POISON));
    for (const [l, own] of numbers.entries()) {
      const { rows, cols, offset, stride } = view(t.device as unknown as GPUBuffer, l);
      for (let i = 0; i < rows; i++) {
        data.set(own[name].subarray(i * cols, (i + 1) * cols), offset + i * stride);
      }
    }
    return t.upload(data);
  };
  const [parameters, gradients, buffer] = [spread("W"), spread("G"), spread("U")];
  const layers = SHAPES.map(
    ([out, inputs], l): Trainable => ({
      name: `layer ${l}`,
      in: inputs,
      out,
      W: view(parameters, l),
      G: view(gradients, l),
    }),
  );
  const model = { layers, parameters, gradients, length } as unknown as Model;
  const manager = managerOf(t);
  const memory = new OptimizerMemory(manager);
  const tail = new StepTail(manager, model, memory, { scope, momentum });
  /** With `null` U is G. */
  const step = async (settings: TailSettings, update: Update | null = { buffer }) => {
    const recorder = manager.record();
    tail.write(settings);
    tail.begin(recorder, settings.gradientClip > 0);
    tail.finish(recorder, update ?? undefined);
    const bytes = recorder.read(tail.outcome.buffer, 0, tail.outcome.bytes);
    recorder.submit();
    return tail.decode(await bytes, settings.learningRate);
  };
  /** The layers' numbers of a buffer; what is between them must be poison still. */
  const read = async (source: GPUBuffer, poisoned = true) => {
    const data = await t.download(source, { length });
    const inside = new Set<number>();
    const found = SHAPES.map(([rows, cols], l) => {
      const { offset, stride } = view(source, l);
      return Float32Array.from({ length: rows * cols }, (_, k) => {
        const at = offset + Math.floor(k / cols) * stride + (k % cols);
        inside.add(at);
        return data[at]!;
      });
    });
    for (const [k, value] of data.entries()) {
      if (inside.has(k)) continue;
      const still = poisoned
        ? k % 2 === 0
          ? Number.isNaN(value)
          : value === Math.fround(POISON)
        : value === 0;
      assert(still, `number ${k}, between the layers, has become ${value}`);
    }
    return found;
  };
  return { numbers, model, manager, tail, buffer, step, read, dispose: () => memory.dispose() };
}

const inner = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, k) => sum + value * y[k]!, 0);
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

kernelTest("tail: two steps with decay, clip and momentum against f64", async (t) => {
  const { numbers, model, tail, step, read, dispose } = setUp(t);
  const settings = { ...SETTINGS, learningRate: 0.3, momentum: 0.7, weightDecay: 0.2, klClip: 0.5 };
  let W = numbers.map((own) => Float64Array.from(own.W));
  let V = numbers.map((own) => new Float64Array(own.W.length));
  let G = numbers.map((own) => own.G.map(Number));
  for (let time = 1; time <= 2; time++) {
    const found = await step(settings);
    G = G.map((own, l) => own.map((g, k) => g + 0.2 * W[l]![k]!));
    const product = total(numbers.map(({ U }, l) => inner(G[l]!, U)));
    const norm = 0.09 * Math.abs(product);
    const clip = product > 0 && norm > 0.5 ? Math.sqrt(0.5 / norm) : 1;
    V = V.map((own, l) => own.map((v, k) => 0.7 * v + clip * numbers[l]!.U[k]!));
    W = W.map((own, l) => own.map((w, k) => w - 0.3 * V[l]![k]!));
    const what = `step ${time}`;
    assertClose([found.clip], [clip], 1e-5, `${what}: ν`);
    assertClose([found.gradientNorm], [Math.sqrt(total(G.map((g) => inner(g, g))))], 1e-5, `${what}: ‖G‖`);
    const size = Math.sqrt(total(numbers.map(({ U }) => inner(U, U))));
    assertClose([found.updateNorm], [0.3 * clip * size], 1e-5, `${what}: ‖ηU‖`);
    assertEqual(`${found.skippedLayers} ${found.flags}`, "0 0", `${what}: left alone`);
    const [weights, gradients, velocity] = [
      await read(model.parameters),
      await read(model.gradients),
      await read(tail.velocity!, false),
    ];
    for (const l of SHAPES.keys()) {
      assertClose(gradients[l]!, G[l]!, 1e-6, `${what}: G of layer ${l}`);
      assertClose(velocity[l]!, V[l]!, 1e-5, `${what}: V of layer ${l}`);
      assertClose(weights[l]!, W[l]!, 1e-5, `${what}: W of layer ${l}`);
    }
  }
  dispose();
});

kernelTest("tail: the clip bites where the step is long, for U = G too", async (t) => {
  for (const how of ["own", "gradients", "none"] as const) {
    const direct = how !== "own";
    // U along G, so that their product is positive.
    const made = setUp(t, {
      momentum: false,
      edit: (all) => {
        for (const own of all) own.U = own.G.map((g) => 2 * g);
      },
    });
    const squared = total(made.numbers.map(({ G }) => inner(G, G)));
    const product = (direct ? 1 : 2) * squared;
    const klClip = 0.01 * product * 0.25;
    // η² Σ⟨G, U⟩ is four times κ.
    const found = await made.step(
      { ...SETTINGS, klClip },
      { own: undefined, gradients: { buffer: made.model.gradients }, none: null }[how],
    );
    assertClose([found.clip], [0.5], 1e-5, "ν");
    assertClose([found.updateNorm], [0.1 * 0.5 * (direct ? 1 : 2) * Math.sqrt(squared)], 1e-5, "‖ηU‖");
    const weights = await made.read(made.model.parameters);
    for (const [l, { W, G, U }] of made.numbers.entries()) {
      const expected = W.map((w, k) => w - 0.05 * (direct ? G : U)[k]!);
      assertClose(weights[l]!, expected, 1e-6, `W of layer ${l}`);
    }
    made.dispose();
  }
});

kernelTest("tail: norms and inner products in parts, along V and the U before too", async (t) => {
  const { numbers, model, manager, tail, buffer, dispose } = setUp(t);
  const { sums, flags } = tail;
  const velocity = model.parameters;
  tail.write(SETTINGS);
  const recorder = manager.record();
  tail.begin(recorder, false, buffer);
  const looks = SHAPES.map((_, flag) => ({ flag, bit: 8 }));
  sums.record(recorder, { gradients: model.gradients, update: buffer, velocity, flags, looks });
  recorder.submit();
  const found = await t.download(sums.buffer);
  const all = (first: number, count: number, step: number) =>
    total(Array.from({ length: count }, (_, k) => found[first + step * k]!));
  for (const [l, { G, U, W: V }] of numbers.entries()) {
    const { parts, chunks, slopes, groups } = sums.places(l, true);
    assertEqual(chunks, Math.ceil(G.length / 4096), "chunks");
    const pairs = [
      [G, U],
      [G, G],
      [U, U],
      [G, V],
      [U, V],
      [V, V],
    ] as const;
    const near = (found: number, wanted: number, what: string) =>
      assert(
        Math.abs(found - wanted) <= 3e-6 * G.length,
        `${what} of layer ${l}: ${found}, expected ${wanted}`,
      );
    for (const [k, [x, y]] of pairs.entries()) {
      near(all(parts + k, chunks, 6), inner(x, y), `sum ${k}`);
    }
    for (const [k, y] of [G, U].entries()) {
      near(all(slopes + k, groups, 2), inner(G, y), `slope ${k}`);
    }
  }
  assert(
    (await t.downloadWords(flags)).every((word) => word === 0),
    "flags",
  );
  dispose();
});

kernelTest("tail: a clip of the gradient, over the layers that are finite, before the decay", async (t) => {
  for (const [clip, bites] of [
    [3, true],
    [1e3, false],
  ] as const) {
    const { numbers, model, step, read, dispose } = setUp(t, {
      edit: (all) => {
        all[1]!.G[44] = Number.NaN;
      },
    });
    const found = await step({ ...SETTINGS, weightDecay: 0.2, gradientClip: clip });
    assertEqual(`${found.skippedLayers} ${found.flags}`, "1 4", "left alone, and why");
    const norm = Math.sqrt(total(numbers.filter((_, l) => l !== 1).map(({ G }) => inner(G, G))));
    const scale = bites ? clip / norm : 1;
    const gradients = await read(model.gradients);
    for (const [l, { G, W }] of numbers.entries()) {
      if (l === 1) continue;
      const expected = G.map((g, k) => scale * g + 0.2 * W[k]!);
      assertClose(gradients[l]!, expected, 1e-6, `G of layer ${l}`);
    }
    dispose();
  }
});

kernelTest("tail: what the clip cannot measure counts as not finite", async (t) => {
  for (const [scope, left] of [
    ["layer", [2]],
    ["network", [...SHAPES.keys()]],
  ] as const) {
    const { numbers, model, step, read, dispose } = setUp(t, {
      scope,
      edit: (all) => {
        all[2]!.G.fill(1e25);
      },
    });
    const found = await step({ ...SETTINGS, gradientClip: 1 });
    assertEqual(`${found.skippedLayers} ${found.flags}`, `${left.length} 4`, "left alone, and why");
    const weights = await read(model.parameters);
    for (const l of left) assertClose(weights[l]!, numbers[l]!.W, 0, `W of layer ${l}`);
    dispose();
  }
});

const broken: Record<string, { edit: (all: Numbers[]) => void; flags: number; layers: number[] }> = {
  "an infinite G": {
    edit: (all) => {
      all[3]!.G[16 * 130 + 129] = Number.POSITIVE_INFINITY;
    },
    flags: 4,
    layers: [3],
  },
  "a U that is NaN": {
    edit: (all) => {
      all[0]!.U[0] = Number.NaN;
    },
    flags: 8,
    layers: [0],
  },
  both: {
    edit: (all) => {
      all[2]!.G[7] = Number.NaN;
      all[4]!.U[2111] = Number.NEGATIVE_INFINITY;
    },
    flags: 12,
    layers: [2, 4],
  },
};
for (const [name, { edit, flags, layers }] of Object.entries(broken)) {
  kernelTest(`tail: ${name} stops its layer, or the network`, async (t) => {
    for (const scope of ["layer", "network"] as const) {
      const { numbers, model, tail, step, read, dispose } = setUp(t, { scope, edit });
      const found = await step({ ...SETTINGS, klClip: 1e6 });
      const left = scope === "layer" ? layers : [...SHAPES.keys()];
      assertEqual(`${found.skippedLayers} ${found.flags}`, `${left.length} ${flags}`, "left alone, and why");
      assert(Number.isFinite(found.gradientNorm) && Number.isFinite(found.updateNorm), "norms");
      const [weights, velocity] = [await read(model.parameters), await read(tail.velocity!, false)];
      for (const [l, { W, U }] of numbers.entries()) {
        const stays = left.includes(l);
        assertClose(
          weights[l]!,
          stays ? W : W.map((w, k) => w - 0.1 * U[k]!),
          stays ? 0 : 1e-6,
          `W of layer ${l}`,
        );
        assertClose(velocity[l]!, stays ? U.map(() => 0) : U, 0, `V of layer ${l}`);
      }
      dispose();
    }
  });
}

kernelTest("tail: where the clip's sum overflows, nothing moves", async (t) => {
  const { numbers, model, step, read, dispose } = setUp(t, {
    edit: (all) => {
      all[1]!.G.fill(1e30);
      all[1]!.U.fill(1e30);
    },
  });
  const found = await step({ ...SETTINGS, klClip: 1 });
  assertEqual(`${found.clip} ${found.updateNorm} ${found.skippedLayers}`, `0 0 ${SHAPES.length}`, "outcome");
  const weights = await read(model.parameters);
  for (const [l, { W }] of numbers.entries()) assertClose(weights[l]!, W, 0, `W of layer ${l}`);
  // Without the clip nobody asks for the sum.
  assertEqual((await step(SETTINGS)).skippedLayers, 0, "left alone without the clip");
  dispose();
});
