/** Which block a layer gets: what is refused, and kinds of the caller's own. */
import {
  BLOCK_KINDS,
  type Block,
  type BlockFactory,
  type BlockItem,
  type BlockSite,
  type BlockUpdate,
  Curvature,
  type CurvatureLayer,
  type CurvatureOptions,
} from "../../src/curvature/index.js";
import { ArgumentError, LimitError, UnsupportedLayerError } from "../../src/errors.js";
import { blend } from "../../src/linalg/blend.js";
import { axpy, paddedView } from "../../src/linalg/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import { assertClose, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { batchOf, gradients, MIXED, SHAPES, solved, updatesOf, withCurvature } from "./block-helpers.js";
import { blockTwin } from "./block-twins.js";
import { blank, submit } from "./layers.js";

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
      const able = ["full", "diagonal", "gradient", "batch:diagonal"].includes(kind);
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
      /blocks of layer a must be one of kronecker, expand, reduce, eigen, ekfac/,
    );
    assertThrows(make({ blocks: (() => 7) as never }), ArgumentError, /blocks of layer a must be .* got 7/);
    assertThrows(make({ damping: -1 }), ArgumentError, /damping/);
    assertThrows(make({}, []), ArgumentError, /layers must be at least one/);
    const vast = { name: "e", in: 1_000_000, out: 3 };
    for (const kind of ["kronecker", "ekfac"] as const) {
      assertThrows(make({ blocks: kind }, [{ name: "x", in: 3, out: 3 }, vast]), LimitError);
    }
    const large = [SHAPES[0]!, { name: "large", in: 241, out: 17 }];
    assertThrows(
      make({ blocks: "full" }, large),
      UnsupportedLayerError,
      /Layer large \(4097 weights\).*at most 4096.*"kronecker"/,
    );
    make({ blocks: ({ in: n, out: m }) => (n * m <= 4096 ? "full" : "kronecker") }, large)().dispose();
    assertThrows(make({ blocks: "full" }, [blind]), UnsupportedLayerError, /Layer d .*fallback/);
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
