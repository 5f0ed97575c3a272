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

# bindings("linalg/products/gram", "gramLayout");

# const a = (at) => `a[${at}]`;
# include(`product/${form}`, {
#   a, aStart: "(*problem).aOffset", aStride: "aStride",
#   b: a, bStart: "(*problem).aOffset", bStride: "aStride", bLast: "aStride - 1u",
#   m: "d", n: "d", k: "k", lower: true, even: false, tileCols: "(*problem).tileCols", operandNames: "A",
#   sizes: () => {
  let d = (*problem).d;
#   },
#   operands: () => {
  let aStride = (*problem).aStride;
  // With α = 0, A is not read: it may hold numbers that are not finite, and 0 · NaN is NaN.
  let k = select((*problem).k, 0u, scales[(*problem).scale].x == 0.0);
#   },
#   store: () => {
# include("product/store", {
#   name: "store", target: "s", rows: "d", cols: "d", sizes: "", parts: "16u", keeps: false,
#   declared: () => {
  let d = (*problem).d;
  let scale = scales[(*problem).scale];
#   },
#   result: () => {
    # include("product/scaled", { sum: "block[part]", old: "s[at]", alpha: "scale.x", beta: "scale.y" });
#   },
# });

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
  var lower = array<vec4f, 16>(
    # include("product/block");
  );
  store(index, i, j, lower);
  if (${form === "registers" ? "j < i" : "left < top"}) {
    # include("product/turned", { name: "upper", at: (r, h) => `c${r}_${h}` });
    store(index, j, i, upper);
  }
# }
}
