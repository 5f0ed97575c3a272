/** Measures of how good an approximation is, against the f64 measures. */

import { type CurvatureComparison, compareCurvature } from "../../src/curvature/approximations/compare.js";
import { APPROXIMATIONS } from "../../src/curvature/approximations/kinds.js";
import { AbortedError, ArgumentError } from "../../src/errors.js";
import {
  ekfac,
  expandFactors,
  kfocFactors,
  kroneckerApproximation,
  reduceFactors,
} from "../../src/reference/approximations.js";
import { meanFluctuation } from "../../src/reference/mean-fluctuation.js";
import { measure } from "../../src/reference/measures.js";
import { positionOperator } from "../../src/reference/operator.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf } from "../network/helpers.js";
import { type LayerShape, randomData, store, type TestLayer, testLayer } from "./layers.js";

function layerWithGradient(t: TestContext, shape: LayerShape, seed = 1) {
  const random = t.random(seed);
  const layer = testLayer(t, shape, randomData(random, shape));
  const g = random.normals(shape.out * shape.in);
  return { layer, G: store(t, g, shape.out, shape.in), g: matrixOf(g, shape.out, shape.in) };
}

function finiteEverywhere(value: unknown, path = "comparison"): void {
  if (typeof value === "number") assert(Number.isFinite(value), `${path} is ${value}`);
  else if (typeof value === "object" && value !== null) {
    for (const [name, part] of Object.entries(value)) finiteEverywhere(part, `${path}.${name}`);
  }
}

const named = ({ approximations }: CurvatureComparison, name: string) =>
  approximations.find((one) => one.name === name)!;

for (const positions of [1, 4]) {
  trainingTest(`compareCurvature: T = ${positions}, every measure against f64`, async (t) => {
    const shape = { in: 6, out: 5, positions, examples: 25, columns: 3 };
    const { layer, G, g } = layerWithGradient(t, shape);
    const damping = 0.3 * positions;
    const result = await compareCurvature(managerOf(t), layer, { damping, G, tolerance: 1e-6 });
    finiteEverywhere(result);
    assertEqual(JSON.stringify(JSON.parse(JSON.stringify(result))), JSON.stringify(result), "plain data");
    assertEqual(result.estimated, false, "estimated");
    assert(result.certificate! < 1e-5, `certificate ${result.certificate}`);
    const { block } = layer;
    const expected = measure(
      [
        kroneckerApproximation("expand", expandFactors(block)),
        kroneckerApproximation("expandFactored", expandFactors(block), "factored"),
        kroneckerApproximation("reduce", reduceFactors(block)),
        ekfac(block, expandFactors(block)),
        kroneckerApproximation("kfoc", kfocFactors(block)),
        meanFluctuation(block),
      ],
      positionOperator(block),
      g,
      damping,
    );
    for (const twin of expected) {
      const own = named(result, twin.name);
      const bound = twin.name === "kfoc" ? 3e-3 : 1e-4;
      for (const key of ["error", "size", "cosine", "share", "shareAtBestStep", "bestStep"] as const) {
        assertClose([own[key]!], [twin[key]], bound, `${twin.name}: ${key}`);
      }
      assertEqual(own.cg.status, "converged", `${twin.name}: CG`);
      assertEqual(own.status, 0, `${twin.name}: status`);
    }
    const none = named(result, "none");
    assertEqual(none.error, undefined, "error of none");
    assertEqual(none.cg.status, "converged", "CG without");
    for (const one of result.approximations) {
      assert(one.shareAtBestStep <= 1 + 1e-5 && one.share <= one.shareAtBestStep + 1e-5, JSON.stringify(one));
      assert(one.cosine <= 1 + 1e-6, `cosine ${one.cosine}`);
    }
  });
}

trainingTest("compareCurvature: an exact approximation scores one, and needs a step or two", async (t) => {
  const shape = { in: 7, out: 4, positions: 1, examples: 1, columns: 2 };
  const { layer, G } = layerWithGradient(t, shape);
  const result = await compareCurvature(managerOf(t), layer, { damping: 0.5, G });
  for (const name of ["expand", "kfoc", "ekfac", "reduce"]) {
    const { error, cosine, share, cg } = named(result, name);
    assert(error! < 1e-5, `${name}: error ${error}`);
    assertClose([cosine, share], [1, 1], 1e-4, name);
    assert(cg.iterations <= 2, `${name}: ${cg.iterations} iterations`);
  }
  assert(named(result, "diagonal").error! > 0.1, "diagonal");
  assert(named(result, "none").cosine < 0.99, "none");
});

trainingTest("compareCurvature: errors of larger layers are estimates near the truth", async (t) => {
  const shape = { in: 12, out: 9, positions: 2, examples: 10, columns: 2 };
  const { layer, G } = layerWithGradient(t, shape);
  const common = { damping: 1, G, kinds: ["expand", "ekfac"] as const };
  const exact = await compareCurvature(managerOf(t), layer, common);
  const estimate = await compareCurvature(managerOf(t), layer, { ...common, denseLimit: 50, probes: 64 });
  assertEqual(estimate.estimated, true, "estimated");
  for (const name of common.kinds) {
    const [own, truth] = [named(estimate, name), named(exact, name)];
    assertClose([own.error!, own.size!], [truth.error!, truth.size!], 0.2, name);
    assert(own.error !== truth.error, `${name}: the estimate is the truth to the bit`);
    assertEqual(own.cosine, truth.cosine, `${name}: cosine`);
  }
});

trainingTest(
  "compareCurvature: not finite is zero and a status; abort, progress, bad options, memory",
  async (t) => {
    const shape = { in: 5, out: 4, positions: 2, examples: 6, columns: 2 };
    const { layer, G } = layerWithGradient(t, shape);
    const data = randomData(t.random(2), shape);
    data.B[3] = Number.NaN;
    const sick: TestLayer = testLayer(t, shape, data);
    const bad = await compareCurvature(managerOf(t), sick, { damping: 1, G });
    finiteEverywhere(bad);
    assertEqual(bad.certificate, undefined, "certificate");
    for (const one of bad.approximations) {
      assert(one.name === "none" || (one.status & 2) === 2, `${one.name}: status ${one.status}`);
      assertEqual(one.error, undefined, `${one.name}: error`);
      // A preconditioner that gives zero is not positive.
      assertEqual(one.cg.status, one.name === "none" ? "nonFinite" : "breakdown", `${one.name}: CG`);
    }
    const manager = managerOf(t);
    const controller = new AbortController();
    const seen: string[] = [];
    const onProgress = (done: number, total: number) => {
      seen.push(`${done}/${total}`);
      if (done === 2) controller.abort();
    };
    const before = manager.counts.liveBuffers;
    const run = () =>
      compareCurvature(manager, layer, { damping: 1, G, onProgress, signal: controller.signal });
    await assertThrows(run, AbortedError, /compareCurvature was stopped/);
    assertEqual(seen.join(), `1/${APPROXIMATIONS.length + 1},2/${APPROXIMATIONS.length + 1}`, "progress");
    for (const damping of [0, -1, Number.NaN]) {
      await assertThrows(() => compareCurvature(manager, layer, { damping, G }), ArgumentError, /damping/);
    }
    assert(manager.counts.liveBuffers - before < 30, "memory is not given back");
  },
);
