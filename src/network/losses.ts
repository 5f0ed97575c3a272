import { shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";

/** What a network is trained on; the reference's names for the same losses. */
export interface Loss {
  readonly kind: "halfSquaredError" | "softmaxCrossEntropy" | "sigmoidCrossEntropy";
}

/** ½ Σ_c (z_c − t_c)², with targets count × outputs. The loss of regression. */
export function halfSquaredError(): Loss {
  return { kind: "halfSquaredError" };
}

/** −Σ_c t_c log softmax(z)_c, with one class per example (`Uint32Array`) or count × outputs probabilities. */
export function softmaxCrossEntropy(): Loss {
  return { kind: "softmaxCrossEntropy" };
}

/** −Σ_c [t_c log σ(z_c) + (1 − t_c) log(1 − σ(z_c))], with targets count × outputs in [0, 1]. */
export function sigmoidCrossEntropy(): Loss {
  return { kind: "sigmoidCrossEntropy" };
}

/** The shaders' number for each loss. */
const LOSS_CODES: Record<Loss["kind"], number> = {
  halfSquaredError: 0,
  softmaxCrossEntropy: 1,
  sigmoidCrossEntropy: 2,
};

/** @throws ArgumentError for a loss that is none of ours. */
export function lossCode(loss: Loss, operation = "network"): number {
  const kind: unknown = loss?.kind;
  if (typeof kind === "string" && Object.hasOwn(LOSS_CODES, kind)) return LOSS_CODES[loss.kind];
  const known = Object.keys(LOSS_CODES).join(", ");
  const given = kind === undefined ? shown(loss) : shown(kind);
  throw new ArgumentError(operation, "loss", `must be one of ${known}, got ${given}`);
}
