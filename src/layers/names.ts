/** Names that need no GPU, so that the command line can list them without loading one. */

/** The element-wise functions, and the shaders' number for each (`shaders/source/pieces/activation_kinds.wgsl`). */
export const ACTIVATION_CODES = { relu: 1, leakyRelu: 2, tanh: 3, logistic: 4 } as const;

export type ActivationName = keyof typeof ACTIVATION_CODES;

export const ACTIVATIONS = Object.keys(ACTIVATION_CODES) as readonly ActivationName[];
