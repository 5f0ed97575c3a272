# // What `operandNames` are stored as.
// Four numbers of ${operandNames} as they are stored: f32, or f16 in the form that src/linalg/products/half.ts makes of this text. Sums are
// of f32 either way.
alias Operand = vec4f;
