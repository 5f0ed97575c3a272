// Last of three kernels of a block sweep over block K, on the lower half of E in 8 × 8 blocks, with R (width × size) from
// invert_pivot and the product kernel, which holds N = D^-½ L⁻¹ in the columns of K and N E_Kj in the others:
// E_ij ← E_ij − R_i' R_j outside K, E_iK ← −R_i' R_K, E_KK ← −R_K' R_K = −(E_KK)⁻¹. (E_iK has the other sign than in a
// sweep by single pivots. It enters twice before it ends, so the sign does not matter.)
//
// Layout: E size × size in vec4f; product holds R; offsets in f32, all multiples of four; width is even.
//
# include("product/about", { left: "R", operandNames: "R", operand: "vec4f", dispatcher: "src/linalg/invert.ts, many matrices at once" });
# if (form === "subgroup") {
enable subgroups;
# }

# bindings("linalg/invert-kernels", "updateLayout");

# const R = (at) => `product[${at}]`;
# include(`product/${form}`, {
#   a: R, aStart: "(*problem).newOffset / 4u", aStride: "stride",
#   b: R, bStart: "(*problem).newOffset / 4u", bStride: "stride", bLast: "stride - COLS / 4u",
#   m: "size", n: "size", k: "width", lower: true, even: true, tileCols: "tileCols", operandNames: "R", operand: "vec4f",
#   sizes: (width) => {
  let size = (*problem).size;
  let tileCols = (size + ${width} - 1u) / (${width});
#   },
#   operands: () => {
  let stride = size / 4u;
  let width = (*problem).width;
#   },
#   store: () => {},
# });

  let block = (*problem).block;
  let end = block + width;
# if (form === "subgroup") {
  var update = array<vec4f, ${8 * columns}>(
# for (const quad of upTo(8)) {
    ${each(4, (r) => each(columns / 4, (h) => `c${4 * quad + r}_${h},`))}
# }
  );
  // Blocks of the sweep are whole tiles high: all rows of the tile are in K, or none.
  let replaced = (i >= block && i < end) || (j >= block && j < end);
  let at = (*problem).workOffset / 4u + i * stride + j / 4u;
  // From a number that the compiler does not know: unrolled stores take seconds to compile.
  let first = number * PIECES;
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    let four = at + part * 4u / COLS * stride + part * 4u % COLS / 4u;
    work[four] = select(work[four], vec4f(), replaced) - update[part];
  }
# } else {
  # include("product/block", { name: "update" });
  // From i on, which the compiler does not know: unrolled stores take seconds to compile.
  for (var part = 0u; part < ${4 * high * wide}u; part++) {
    let row = i + part / ${4 * wide}u * ${4 * spanI}u + part / ${wide}u % 4u;
    let column = j + part % ${wide}u * ${4 * spanJ}u;
    // Nobody reads what lies above the diagonal.
    if (row >= size || column > row) {
      continue;
    }
    let replaced = (row >= block && row < end) || (column >= block && column < end);
    let at = (*problem).workOffset / 4u + row * stride + column / 4u;
    work[at] = select(work[at], vec4f(), replaced) - update[part];
  }
# }
}
