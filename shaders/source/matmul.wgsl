// C ← α AᵀB + β C, with A stored k × m and B stored k × n, so that both are read along rows, four numbers at a time.
//
// Layout: offsets and strides of a and b count vec4f; those of c count vec4f too, and C may be stored transposed
// (n × m). Rows start on a vec4f; numbers beyond the last column of C are left as they are.
//
# include("product/about", {
#   left: "A", operandNames: "A and B", dispatcher: "src/linalg/products/matmul.ts, many problems at once",
# });
# if (form === "subgroup") {
enable subgroups;
# }

# include("product/operand", { operandNames: "A and B" });

# bindings("linalg/products/matmul", "matmulLayout", {}, { a: "Operand", b: "Operand" });

# const from = (buffer) => (at) => (form === "workgroup" ? `${buffer}[${at}]` : `vec4f(${buffer}[${at}])`);
# // Where a thread's numbers are as high as wide, one function writes them either way.
# const turnedName = form === "registers" || form === "sliced" ? "store" : "storeTurned";
# include(`product/${form}`, {
#   a: from("a"), aStart: "(*problem).aOffset", aStride: "aStride",
#   b: from("b"), bStart: "(*problem).bOffset", bStride: "bStride", bLast: "(n - 1u) / 4u",
#   m: "m", n: "n", k: "k", lower: false, even: false, tileCols: "(*problem).tileCols", operandNames: "A and B", operand: "Operand",
#   sizes: () => {
  let m = (*problem).m;
  let n = (*problem).n;
#   },
#   operands: () => {
  let aStride = (*problem).aStride;
  let bStride = (*problem).bStride;
  let k = (*problem).k;
#   },
#   store: () => {
# for (const transposed of turnedName === "store" ? [false] : [false, true]) {
# include("product/store", {
#   name: transposed ? turnedName : "store", transposed, target: "c", rows: "rows", cols: "cols",
#   sizes: "rows: u32, cols: u32, ", keeps: false,
#   declared: () => {
  let alpha = (*problem).alpha;
  let beta = (*problem).beta;
#   },
#   result: () => {
    # include("product/scaled", { sum: "block[part]", old: "c[at]", alpha: "alpha", beta: "beta" });
#   },
# });

# }
#   },
# });

# if (form === "subgroup") {
  # include("product/numbers");
  // Pieces of four numbers. A loop, from a number that the compiler does not know: unrolled stores take a software
  // adapter seconds to compile.
  let turned = (*problem).transposed != 0u;
  let rows = select(m, n, turned);
  let cols = select(n, m, turned);
  let alpha = (*problem).alpha;
  let beta = (*problem).beta;
  let first = number * PIECES;
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    # include("product/store_piece", {
#     target: "c", rows: "rows", cols: "cols", turned: "turned", left: "", reads: "beta != 0.0 || ",
#     result: () => {
# include("product/scaled", { sum: "sum", old: "old", alpha: "alpha", beta: "beta" });
#     },
#   });
  }
# } else {
  if ((*problem).transposed == 0u) {
    # include("product/block", { name: "plain" });
    store(index, i, j, m, n, plain);
  } else {
    # include("product/turned", { name: "turned", blocks: high, quads: wide, at: (r, q) => `c${r}_${q}` });
    ${turnedName}(index, j, i, n, m, turned);
  }
# }
}
