// What the benchmark takes from the repository's own build, typed by the sources: dist/ may be built without declarations.

/** @param {string} name */
async function built(name) {
  try {
    return await import(new URL(`../dist/${name}.js`, import.meta.url).href);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
    throw missing
      ? new Error(`dist/${name}.js is not there: build it with npm run build`, { cause: error })
      : error;
  }
}

/** @type {typeof import("../src/timing/index.js")} */
export const timing = await built("timing");

/** @type {typeof import("../src/charts/index.js")} */
export const charts = await built("charts");

/** The library itself, which looks for a GPU only when it is asked for one. @returns {Promise<typeof import("../src/node.js")>} */
export const loadLibrary = () => built("node");

/** Its f64 twin. @returns {Promise<typeof import("../src/reference/index.js")>} */
export const loadReference = () => built("reference");
