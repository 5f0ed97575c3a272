// The files that a source is written to: the ending of each file's name, and the parameters that the source gets for it.
// A source that is not listed is written to one file, without parameters.

/** Forms of the products; `src/linalg/products/tiles.ts` says which adapter gets which. */
const PRODUCT = {
  "": { form: "registers" },
  _subgroup4: { form: "subgroup", lanes: 4, columns: 8 },
  _subgroup8: { form: "subgroup", lanes: 8, columns: 4 },
  _workgroup: { form: "workgroup" },
};

/** @type {Record<string, Record<string, Record<string, string | number>>>} */
export const FORMS = {
  gram: PRODUCT,
  matmul: PRODUCT,
  layer_product: PRODUCT,
  invert_update: PRODUCT,
  // Between how many pairs of buffers.
  copy: { "": { pairs: 1 }, _pairs: { pairs: 2 } },
  // `block` is the number of rows swept, `lanes` how many threads share their loads.
  invert_pivot: {
    32: { block: 32, lanes: 1 },
    "32_subgroup4": { block: 32, lanes: 4 },
    "32_subgroup8": { block: 32, lanes: 8 },
    64: { block: 64, lanes: 1 },
    "64_subgroup4": { block: 64, lanes: 4 },
    "64_subgroup8": { block: 64, lanes: 8 },
  },
};
