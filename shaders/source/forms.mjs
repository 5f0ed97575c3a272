// The files that a source is written to: the ending of each file's name, and the parameters that the source gets for it.
// A source that is not listed is written to one file, without parameters.

/** Forms of the products; `src/linalg/products/tiles.ts` says which adapter gets which. */
const PRODUCT = {
  "": { form: "registers", high: 2, wide: 2, spanI: 1, spanJ: 1 },
  _subgroup4: { form: "subgroup", lanes: 4, columns: 8 },
  _subgroup8: { form: "subgroup", lanes: 8, columns: 4 },
  // A thread keeps 4 · high × 4 · wide numbers; spanI × spanJ threads lie side by side.
  _workgroup64: { form: "workgroup", high: 2, wide: 1, spanI: 8, spanJ: 16, depth: 32 },
  _workgroup128: { form: "workgroup", high: 4, wide: 2, spanI: 8, spanJ: 16, depth: 16 },
  _sliced: { form: "sliced", high: 1, wide: 1, spanI: 2, spanJ: 2, slices: 64 },
};

/** Of sums that are short. */
const { _sliced, ...UNSLICED } = PRODUCT;

/** @type {Record<string, Record<string, Record<string, string | number | boolean>>>} */
export const FORMS = {
  gram: PRODUCT,
  matmul: PRODUCT,
  layer_product: PRODUCT,
  invert_update: UNSLICED,
  // Between how many pairs of buffers.
  copy: { "": { pairs: 1 }, _pairs: { pairs: 2 } },
  // `block` is the number of rows swept, `lanes` how many threads share their loads; in a grid, a thread has a part of a row.
  invert_pivot: {
    32: { block: 32, grid: false, lanes: 1 },
    "32_subgroup4": { block: 32, grid: false, lanes: 4 },
    "32_subgroup8": { block: 32, grid: false, lanes: 8 },
    "32_workgroup": { block: 32, grid: true, lanes: 1 },
    64: { block: 64, grid: false, lanes: 1 },
    "64_subgroup4": { block: 64, grid: false, lanes: 4 },
    "64_subgroup8": { block: 64, grid: false, lanes: 8 },
    "64_workgroup": { block: 64, grid: true, lanes: 1 },
  },
};
