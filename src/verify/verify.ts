import { FUNCTION, must, objectLike, optionsOf, type Rules, SIGNAL } from "../arguments.js";
import type { Engine } from "../engine.js";
import { AbortedError } from "../errors.js";
import type { Certificate } from "./certificate.js";
import { orderings, positionExactness, trueConvolution } from "./convolution.js";
import { determinism } from "./determinism.js";
import { kfacExactness, monteCarloFisher } from "./exactness.js";
import {
  eighKernel,
  gramKernel,
  invertKernel,
  matmulKernel,
  reduceKernel,
  sandwichKernel,
} from "./kernels.js";
import { leftTiling, minimumNorm, newtonAgainstReference, newtonMinimiser } from "./linear.js";
import { scaleInvariance } from "./scale.js";
import { cgSolve } from "./solver.js";

/** How a run of the claims is watched and stopped. */
export interface VerifyOptions {
  /** Looked at between two groups of claims. */
  signal?: AbortSignal;
  /** Called when a group of claims is done, with its certificates. */
  onProgress?: (progress: {
    group: string;
    done: number;
    total: number;
    certificates: readonly Certificate[];
  }) => void;
}

const ENGINE = objectLike("an engine (createEngine)", "network", "gram");
const OPTIONS: Rules<VerifyOptions> = { signal: SIGNAL, onProgress: FUNCTION };

const GROUPS: readonly [name: string, run: (engine: Engine) => Promise<Certificate[]>][] = [
  ["gram", gramKernel],
  ["matmul", matmulKernel],
  ["invert", invertKernel],
  ["sandwich", sandwichKernel],
  ["reduce", reduceKernel],
  ["eigh", eighKernel],
  ["determinism", determinism],
  ["linear network", newtonMinimiser],
  ["linear network against f64", newtonAgainstReference],
  ["singular factors", minimumNorm],
  ["left tiling", leftTiling],
  ["scale", scaleInvariance],
  ["piecewise linear networks", kfacExactness],
  ["Monte-Carlo Fisher", monteCarloFisher],
  ["conjugate gradients", cgSolve],
  ["true convolution", trueConvolution],
  ["positions", positionExactness],
  ["orderings", orderings],
];

/**
 * Checks the theorems that the package states, and its kernels against the f64 reference, on this engine's adapter. A
 * claim that does not hold is a certificate with `pass` false, never an error.
 *
 * @throws ArgumentError for what is no engine and for a bad option, AbortedError once the signal fires, DeviceLostError and the like when the GPU goes away.
 */
export async function verify(engine: Engine, options: VerifyOptions = {}): Promise<Certificate[]> {
  must("verify", "engine", engine, ENGINE);
  const { signal, onProgress } = optionsOf("verify", OPTIONS, options);
  const all: Certificate[] = [];
  for (const [index, [group, run]] of GROUPS.entries()) {
    if (signal?.aborted) throw new AbortedError("verify", signal.reason);
    const certificates = await run(engine);
    all.push(...certificates);
    onProgress?.({ group, done: index + 1, total: GROUPS.length, certificates });
  }
  return all;
}
