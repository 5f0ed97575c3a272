/** Conjugate gradients on a sum of Kronecker products, which no inverse of factors solves. */
import { kroneckerSum } from "../curvature/exact/kronecker-sum.js";
import type { Engine } from "../engine.js";
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
import { condition, Draw, fromHost } from "./data.js";

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
    const made: GPUBuffer[] = [];
    const upload = (m: Matrix) => {
      const buffer = manager.createStorage("verify", m.data.length);
      made.push(buffer);
      engine.device.queue.writeBuffer(buffer, 0, Float32Array.from(m.data));
      return { buffer, rows: m.rows, cols: m.cols };
    };
    try {
      const operator = kroneckerSum({
        A: examples.map(({ A }) => upload(A)),
        B: examples.map(({ B }) => upload(B)),
      });
      const into = upload(G);
      const found = await conjugateGradients(manager, operator, { G: upload(G), into }, { damping });
      const recorder = manager.record();
      const reading = recorder.read(into.buffer, 0, 4 * G.data.length);
      recorder.submit();
      const delta = fromHost({ rows: out, cols: inputs, data: new Float32Array(await reading) });
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
      for (const buffer of made) manager.destroyBuffer(buffer);
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
