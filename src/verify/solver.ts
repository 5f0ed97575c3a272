/** Conjugate gradients on a sum of Kronecker products, which no inverse of factors solves. */
import { kroneckerSum } from "../curvature/exact/kronecker-sum.js";
import type { Engine } from "../engine.js";
import { DeviceMatrices, readMatrix, toF64 } from "../host/index.js";
import { conjugateGradients } from "../linalg/cg.js";
import {
  dampedOperator,
  gram,
  invert,
  kroneckerSumOperator,
  type Matrix,
  newtonHessian,
  relativeError,
  sandwich,
  scale,
  solve,
  unvec,
  vec,
} from "../reference/index.js";
import { atLeast, atMost, type Certificate } from "./certificate.js";
import { condition, Draw } from "./data.js";

export async function cgSolve(engine: Engine): Promise<Certificate[]> {
  const { manager } = engine;
  const rows: Certificate[] = [];
  const draw = new Draw(71);
  for (const [inputs, out, N, damping] of [
    [6, 4, 20, 0.5],
    [17, 9, 40, 2],
  ] as const) {
    const examples = Array.from({ length: N }, () => {
      const [A, B] = [draw.matrix(inputs, 2), draw.matrix(out, 3)];
      return { A, B, target: draw.matrix(3, 2) };
    });
    const G = draw.matrix(out, inputs);
    const H = newtonHessian(examples);
    const wanted = unvec(solve(H, vec(G), damping), out, inputs);
    const memory = new DeviceMatrices(manager, "verify");
    try {
      const operator = kroneckerSum({
        A: examples.map(({ A }) => memory.upload(A)),
        B: examples.map(({ B }) => memory.upload(B)),
      });
      const into = memory.matrix(out, inputs);
      const found = await conjugateGradients(manager, operator, { G: memory.upload(G), into }, { damping });
      const recorder = manager.record();
      const reading = readMatrix(recorder, into);
      recorder.submit();
      const delta = toF64(await reading);
      const kappa = condition(H);
      const sizes = `${out} × ${inputs}, ${N} examples, ${found.iterations} iterations`;
      rows.push(
        atMost(
          "conjugate gradients solve (H + λI)δ = G: against f64",
          sizes,
          relativeError(delta, wanted),
          1e-5 * Math.min(kappa, 100),
        ),
        atMost("their own certificate holds", sizes, trueResidual(examples, delta, G, damping), 2e-5),
      );
      const factored = productOfSums(examples, G);
      const gap = relativeError(factored, unvec(solve(H, vec(G), 0), out, inputs));
      rows.push(
        atLeast("the product of sums does NOT solve it", `${out} × ${inputs}, ${N} examples, λ 0`, gap, 0.05),
      );
    } finally {
      memory.dispose();
    }
  }
  return rows;
}

function trueResidual(
  examples: readonly { A: Matrix; B: Matrix }[],
  delta: Matrix,
  G: Matrix,
  damping: number,
): number {
  return relativeError(dampedOperator(kroneckerSumOperator(examples), damping).apply(delta), G);
}

/** N (Σ BB')⁻¹ G (Σ AA')⁻¹. */
function productOfSums(examples: readonly { A: Matrix; B: Matrix }[], G: Matrix): Matrix {
  const left = invert(gram({ A: examples.map(({ B }) => B) })).inverse;
  const right = invert(gram({ A: examples.map(({ A }) => A) })).inverse;
  return scale(sandwich(left, G, right), examples.length);
}
