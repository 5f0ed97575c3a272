/** Element-wise activations and their derivatives. */

/** An element-wise function. At zero, relu and leakyRelu take the slope of the negative side. */
export interface ActivationLayer {
  kind: "relu" | "leakyRelu" | "tanh" | "logistic";
  /** Slope of leakyRelu below zero; defaults to 0.01. */
  slope?: number;
}

/** An element-wise activation. At zero, relu and leakyRelu take the slope of the negative side. */
export function activation(kind: ActivationLayer["kind"], slope?: number): ActivationLayer {
  return { kind, slope };
}

/** The activation's value at z. */
export function activate(layer: ActivationLayer, z: number): number {
  switch (layer.kind) {
    case "relu":
      return Math.max(z, 0);
    case "leakyRelu":
      return z > 0 ? z : (layer.slope ?? 0.01) * z;
    case "tanh":
      return Math.tanh(z);
    case "logistic":
      return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
  }
}

/** The activation's derivative at z. */
export function activationSlope(layer: ActivationLayer, z: number): number {
  switch (layer.kind) {
    case "relu":
      return z > 0 ? 1 : 0;
    case "leakyRelu":
      return z > 0 ? 1 : (layer.slope ?? 0.01);
    case "tanh":
      return 1 - Math.tanh(z) ** 2;
    case "logistic": {
      const s = activate(layer, z);
      return s * (1 - s);
    }
  }
}
