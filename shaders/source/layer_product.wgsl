// What a layer's product leaves: P = A'X + what was there, and of it φ(P), or P ∘ φ' for derivatives, with A stored k × m and
// X stored k × n, an example (or position) a column. φ is one of KIND_…, identity included; φ' is taken from the results
// `values` of φ. The result R goes to `rows`, n × m, an example a row, and where a product reads that next to `turned` too,
// m × n.
//
// Layout: offsets and strides count vec4f; numbers beyond the last column are left as they are. Of derivatives, several blocks
// of one row an example lie under each other, and the first row here is number firstRow of them: number r belongs to example
// r mod examples, a row of `values`.
// X may lie in the buffer that R' is written to, in another place: it is read from there where IN_PLACE is 1.
//
# include("product/about", {
#   left: "A", operandNames: "A and X", operand: "vec4f", dispatcher: "src/layers/layer-product.ts, many problems at once",
# });
# if (form === "subgroup") {
enable subgroups;
# }

# bindings("layers/layer-product", "layerProductLayout");

override IN_PLACE: u32 = 0;

fn input(at: u32) -> vec4f {
  if (IN_PLACE != 0u) {
    return turned[at];
  }
  return inputs[at];
}

# include("activate", { type: "vec4f" });

# include("slope_at", { type: "vec4f" });

// R from P, four numbers of a row from column `column` on. The problem is a copy, read once and not for every four numbers.
fn finished(own: LayerProductProblem, sum: vec4f, row: u32, column: u32) -> vec4f {
  if (own.derivative == 0u) {
    return activate(own.kind, own.slope, sum);
  }
  let example = (own.firstRow + row) % own.examples;
  return sum * slopeAt(own.kind, own.slope, values[own.valueOffset + example * own.valueStride + column / 4u]);
}

# include(`product/${form}`, {
#   a: (at) => `weights[${at}]`, aStart: "(*problem).weightOffset", aStride: "aStride",
#   b: (at) => `input(${at})`, bStart: "(*problem).inputOffset", bStride: "bStride", bLast: "(n - 1u) / 4u",
#   m: "m", n: "n", k: "k", lower: false, even: false, tileCols: "(*problem).tileCols", operandNames: "A and X", operand: "vec4f",
#   sizes: () => {
  let m = (*problem).m;
  let n = (*problem).n;
#   },
#   operands: () => {
  let aStride = (*problem).weightStride;
  let bStride = (*problem).inputStride;
  let k = (*problem).k;
#   },
#   store: () => {
# include("product/store", {
#   name: "storeRows", transposed: true, target: "rows", rows: "(*problem).n", cols: "(*problem).m", sizes: "", keeps: true,
#   declared: () => {
  let own = problems[index];
#   },
#   result: () => {
    var result = block[part];
    if (own.adds != 0u) {
      result += rows[at];
    }
    result = finished(own, result, i, j);
    block[part] = result;
#   },
# });

# include("product/store", {
#   name: "storeTurned", transposed: false, target: "turned", rows: "(*problem).m", cols: "(*problem).n", sizes: "", keeps: false,
#   declared: () => {},
#   result: () => {
    var result = block[part];
#   },
# });

#   },
# });

# if (form === "subgroup") {
  # include("product/numbers");
  let own = problems[index];
  // Pieces of four numbers. Loops, from a number that the compiler does not know: unrolled stores take a software
  // adapter seconds to compile.
  let first = number * PIECES;
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    # include("product/store_piece", {
#     target: "rows", rows: "n", cols: "m", turned: "true", left: "", reads: "own.adds != 0u || ",
#     result: () => {
var result = sum;
if (own.adds != 0u) {
  result += old;
}
result = finished(own, result, row, column);
if (own.turns != 0u) {
  ${each(4, (r) => `block[source${["", " + step", " + 2u * step", " + 3u * step"][r]}] = result.${"xyzw"[r]};`)}
}
#     },
#   });
  }
  if ((*problem).turns == 0u) {
    return;
  }
  for (var piece = first; piece < first + PIECES; piece++) {
    let part = piece - first;
    # include("product/store_piece", {
#     target: "turned", rows: "m", cols: "n", turned: "false", left: "", reads: "",
#     result: () => {
let result = sum;
#     },
#   });
  }
# } else {
  # include("product/turned", { name: "results", blocks: high, quads: wide, at: (r, q) => `c${r}_${q}` });
  let block = storeRows(index, j, i, results);
  if ((*problem).turns != 0u) {
    # include("product/turned", { name: "columns", blocks: wide, quads: high, at: (r, q) => `block[${high * r + q}]` });
    storeTurned(index, i, j, columns);
  }
# }
}
