/** The GPU's matrix operations against the f64 reference. */
import type { Engine } from "../engine.js";
import { DeviceMatrices, toF32, toF64 } from "../host/index.js";
import { reduce } from "../linalg/index.js";
import * as reference from "../reference/index.js";
import { atMost, type Certificate, EPS } from "./certificate.js";
import { Draw } from "./data.js";

const { relativeError } = reference;

/** Of sums of `terms` products, in a fixed but unknown order. */
const sumBound = (terms: number) => EPS * (8 + 2 * Math.sqrt(terms));

export async function gramKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(11);
  for (const [d, k] of [
    [1, 1],
    [7, 33],
    [64, 300],
    [129, 65],
  ] as const) {
    const A = draw.matrix(d, k);
    const S = toF64(await engine.gram({ A: toF32(A) }));
    const error = relativeError(S, reference.gram({ A }));
    rows.push(atMost("gram is AA'", `${d} × ${k}`, error, sumBound(k)));
  }
  return rows;
}

export async function matmulKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(12);
  for (const transposed of [false, true]) {
    for (const [m, k, n] of [
      [1, 1, 1],
      [5, 3, 9],
      [65, 129, 33],
      [100, 31, 127],
    ] as const) {
      const A = transposed ? draw.matrix(k, m) : draw.matrix(m, k);
      const B = transposed ? draw.matrix(n, k) : draw.matrix(k, n);
      const options = { transposeA: transposed, transposeB: transposed };
      const C = toF64(await engine.matmul(toF32(A), toF32(B), options));
      const error = relativeError(C, reference.matmul(A, B, options));
      const claim = transposed ? "matmul is A'B'" : "matmul is AB";
      rows.push(atMost(claim, `${m} × ${k} × ${n}`, error, sumBound(k)));
    }
  }
  return rows;
}

export async function invertKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(13);
  for (const n of [5, 33, 130]) {
    for (const condition of [1e1, 1e2, 1e3, 1e4, 1e5, 1e6]) {
      const S = draw.spd(n, condition);
      const { inverse, status } = await engine.invert(toF32(S));
      const error = relativeError(toF64(inverse), reference.invert(S).inverse);
      const bound = EPS * (16 + 2 * condition);
      const sizes = `${n} × ${n}, κ 1e${Math.round(Math.log10(condition))}`;
      rows.push(atMost("invert is S⁻¹, within 2εκ", sizes, status === 0 ? error : Number.NaN, bound));
    }
  }
  return rows;
}

export async function sandwichKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(14);
  for (const [m, n] of [
    [1, 4],
    [33, 18],
    [64, 129],
  ] as const) {
    const [P, G, Q] = [draw.spd(m, 10), draw.matrix(m, n), draw.spd(n, 10)];
    const U = toF64(await engine.sandwich(toF32(P), toF32(G), toF32(Q)));
    const error = relativeError(U, reference.sandwich(P, G, Q));
    rows.push(atMost("sandwich is PGQ", `${m} × ${n}`, error, 2 * sumBound(m + n)));
  }
  return rows;
}

export async function reduceKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(15);
  const { manager } = engine;
  for (const [m, n] of [
    [3, 5],
    [100, 257],
  ] as const) {
    const [X, Y] = [draw.matrix(m, n), draw.matrix(m, n)];
    const memory = new DeviceMatrices(manager, "verify");
    try {
      const [x, y, into] = [memory.upload(X), memory.upload(Y), memory.vector(2)];
      const recorder = manager.record();
      reduce(recorder, into, [
        { x, y, index: 0 },
        { x, y: x, index: 1 },
      ]);
      const reading = recorder.read(into, 0, 8);
      recorder.submit();
      const [inner, squared] = new Float32Array(await reading);
      const size = reference.norm(X) * reference.norm(Y);
      const errors = [
        Math.abs(inner! - reference.dot(X, Y)) / size,
        Math.abs(squared! / reference.dot(X, X) - 1),
      ];
      rows.push(atMost("reduce is ⟨X, Y⟩ and ‖X‖²", `${m} × ${n}`, Math.max(...errors), sumBound(m * n)));
    } finally {
      memory.dispose();
    }
  }
  return rows;
}

export async function eighKernel(engine: Engine): Promise<Certificate[]> {
  const rows: Certificate[] = [];
  const draw = new Draw(16);
  for (const n of [3, 33, 90]) {
    const S = draw.spd(n, 1e4);
    const { values, vectors, status } = await engine.eigh(toF32(S));
    const V = toF64(vectors);
    const D = reference.diagonal(Float64Array.from(values));
    const product = reference.matmul(reference.matmul(V, D), V, { transposeB: true });
    const turned = reference.matmul(V, V, { transposeA: true });
    const error = Math.max(relativeError(product, S), relativeError(turned, reference.identity(n)));
    const bound = 32 * Math.sqrt(n) * EPS;
    rows.push(
      atMost("eigh is S = VΛV' with V'V = I", `${n} × ${n}`, status === 0 ? error : Number.NaN, bound),
    );
  }
  return rows;
}
