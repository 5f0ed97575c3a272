// S ← β S + α Σᵢ AᵢAᵢ', the Gram matrix of inputs stored one example (or position) a row, k × d. Only blocks on or below
// the diagonal are computed; those below are also written mirrored. Where a block on it is computed whole, both halves are
// sums of the same products in the same order. So S is symmetric to the bit.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column of S are left as they are. α and β come from
// `scales`, one (α, β) a problem, which may be written on the GPU (the moving average of K-FAC's factors).
//
# include("product/about", { left: "A", operandNames: "A", dispatcher: "src/linalg/products/gram.ts, many problems at once" });
# if (form === "subgroup") {
enable subgroups;
# }

# include("product/operand", { operandNames: "A" });

# bindings("linalg/products/gram", "gramLayout", {}, { a: "Operand" });

# const a = (at) => (form === "workgroup" ? `a[${at}]` : `vec4f(a[${at}])`);
# // Where a thread's numbers are as high as wide, one function writes them either way.
# const turnedName = form === "registers" || form === "sliced" ? "store" : "storeTurned";
# include(`product/${form}`, {
#   a, aStart: "(*problem).aOffset", aStride: "aStride",
#   b: a, bStart: "(*problem).aOffset", bStride: "aStride", bLast: "aStride - 1u",
#   m: "d", n: "d", k: "k", lower: true, even: false, tileCols: "(*problem).tileCols", operandNames: "A", operand: "Operand",
#   sizes: () => {
  let d = (*problem).d;
#   },
#   operands: () => {
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);
#   },
#   store: () => {
# for (const transposed of turnedName === "store" ? [false] : [false, true]) {
# include("product/store", {
#   name: transposed ? turnedName : "store", transposed, target: "s", rows: "d", cols: "d", sizes: "", keeps: false,
#   declared: () => {
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
#   },
#   result: () => {
    # include("product/scaled", { sum: "block[part]", old: "s[at]", alpha: "scale.x", beta: "scale.y" });
#   },
# });

# }
#   },
# });

# if (form === "subgroup") {
  # include("product/numbers");
  // Pieces of rows, then as many of columns for the mirror image. One loop, from a number that the compiler does not
  // know: unrolled stores take a software adapter seconds to compile.
  let scale = scales[(*problem).scale];
  let first = number * 2u * PIECES;
  for (var piece = first; piece < first + 2u * PIECES; piece++) {
    let part = (piece - first) % PIECES;
    let mirrored = piece - first >= PIECES;
    // Of blocks of 8 × 8, those on or below the diagonal come as they are, those above mirrored.
    # include("product/store_piece", {
#     target: "s", rows: "d", cols: "d", turned: "mirrored", left: " || (column / 8u > row / 8u) != mirrored",
#     reads: "scale.y != 0.0 || ",
#     result: () => {
# include("product/scaled", { sum: "sum", old: "old", alpha: "scale.x", beta: "scale.y" });
#     },
#   });
  }
# } else {
  # include("product/block", { name: "lower" });
  store(index, i, j, lower);
  if (${form === "registers" ? "j < i" : "left < top"}) {
    # include("product/turned", { name: "upper", blocks: high, quads: wide, at: (r, q) => `c${r}_${q}` });
    ${turnedName}(index, j, i, upper);
  }
# }
}
