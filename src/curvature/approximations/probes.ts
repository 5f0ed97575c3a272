import { threefry2x32 } from "../../random/index.js";

/** Matrices V whose products with an operator tell its Frobenius norm: Σ ‖H V‖², up to one factor for all operators. */
export interface Probes {
  readonly count: number;
  /** Whether the norm is an estimate. */
  readonly random: boolean;
  /** Number k, rows × cols with rows `stride` apart. */
  probe(k: number, stride: number): Float32Array<ArrayBuffer>;
}

/**
 * All unit matrices where there are at most `limit` unknowns, else `random` matrices of signs (Hutchinson 1989): then
 * E ‖H V‖² = ‖H‖², with a relative error of about √(2 / random) at worst. The same every time.
 */
export function probesOf(rows: number, cols: number, limit: number, random: number): Probes {
  const unknowns = rows * cols;
  if (unknowns <= limit) {
    return {
      count: unknowns,
      random: false,
      probe(k, stride) {
        const V = new Float32Array(rows * stride);
        V[Math.floor(k / cols) * stride + (k % cols)] = 1;
        return V;
      },
    };
  }
  return {
    count: random,
    random: true,
    probe(k, stride) {
      const V = new Float32Array(rows * stride);
      for (let e = 0; e < unknowns; e++) {
        const [word] = threefry2x32(0, 0, e, k);
        V[Math.floor(e / cols) * stride + (e % cols)] = word & 1 ? 1 : -1;
      }
      return V;
    },
  };
}

/** Σ ‖X_k‖². */
export function squaredSize(images: readonly Float32Array[]): number {
  let sum = 0;
  for (const image of images) for (const x of image) sum += x * x;
  return sum;
}

/** Σ ‖X_k − Y_k‖². */
export function squaredDistance(X: readonly Float32Array[], Y: readonly Float32Array[]): number {
  let sum = 0;
  for (const [k, image] of X.entries()) {
    const other = Y[k]!;
    for (let e = 0; e < image.length; e++) sum += (image[e]! - other[e]!) ** 2;
  }
  return sum;
}
