// What goes into the bundle, and where it lies in it. The repository's own layout is kept, so that programs find each other as
// they do here; of packages only what Node loads is taken.

/**
 * @typedef {{ from: string, to: string, only?: RegExp, not?: RegExp }} Item a file or folder, by paths relative to the
 *   repository and to the bundle; `only` and `not` are held against the path inside the folder
 */

/** What no program reads. */
const PAPER =
  /\.(map|md|markdown|ts|cts|mts|flow|html|yml|yaml|txt)$|(^|\/)(test|tests|examples|docs|src|benchmark)\//i;

/** Packages at the repository's root. */
export const OWN_PACKAGES = ["webgpu", "typegpu", "tinyest", "typed-binary", "tsover-runtime"];

/** What is taken of each peer's package and of what it needs; everything that Node may load unless said. */
/** @type {Record<string, RegExp | undefined>} */
export const PEER_FILES = {
  "@jax-js/jax": /^(dist\/.*\.js|package\.json)$/,
  "@tensorflow/tfjs-core": /^(dist\/tf-core\.node\.js|package\.json)$/,
  "@tensorflow/tfjs-backend-cpu": /^(dist\/tf-backend-cpu\.node\.js|package\.json)$/,
  "@tensorflow/tfjs-backend-webgpu": /^(dist\/tf-backend-webgpu\.node\.js|package\.json)$/,
  "@tensorflow/tfjs-backend-wasm": /^(dist\/(tf-backend-wasm\.node\.js|[^/]*\.wasm)|package\.json)$/,
  "numpy-ts": /^(dist\/esm\/.*|package\.json|LICENSE)$/,
  "ml-matrix": /^(matrix\.js|matrix\.mjs|package\.json|LICENSE)$/,
  "is-any-array": undefined,
  "ml-array-max": undefined,
  "ml-array-min": undefined,
  "ml-array-rescale": undefined,
  long: undefined,
  "node-fetch": undefined,
  seedrandom: undefined,
  tr46: undefined,
  "webidl-conversions": undefined,
  "whatwg-url": undefined,
};

/**
 * @param {{ node: string, suite: string }} made the Node binary and the folder of the bundled kernel suite
 * @returns {Item[]}
 */
export function manifest({ node, suite }) {
  const peers = Object.entries(PEER_FILES).map(([name, only]) => ({
    from: `bench/node_modules/${name}`,
    to: `app/bench/node_modules/${name}`,
    only,
    not: only ? undefined : PAPER,
  }));
  const own = OWN_PACKAGES.map((name) => ({
    from: `node_modules/${name}`,
    to: `app/node_modules/${name}`,
    not: name === "webgpu" ? /^dist\/(?!linux-x64\/|$)|^build\// : PAPER,
  }));
  return [
    { from: "bench/bundle/run.sh", to: "run" },
    { from: "bench/bundle/README.txt", to: "README.txt" },
    { from: "LICENSE", to: "LICENSE" },
    { from: node, to: "bin/node" },
    { from: "package.json", to: "app/package.json" },
    { from: "dist", to: "app/dist", not: /\.(map|ts)$/ },
    { from: "shaders", to: "app/shaders" },
    { from: "bin", to: "app/bin" },
    { from: "scripts/drivers.mjs", to: "app/scripts/drivers.mjs" },
    { from: "scripts/enter-driver.mjs", to: "app/scripts/enter-driver.mjs" },
    {
      from: "bench",
      to: "app/bench",
      not: /^(node_modules|results)(\/|$)|\.(ts|md|sh|txt)$|^bundle\/build\.mjs$/,
    },
    ...["host", "program", "protocol", "supervise"].map((name) => ({
      from: `test/harness/${name}.mjs`,
      to: `app/test/harness/${name}.mjs`,
    })),
    { from: suite, to: "app/tests" },
    ...own,
    ...peers,
  ];
}

/**
 * Whether a file, or a folder (whose path then ends in a slash), belongs to an item.
 * @param {Item} item @param {string} inside its path in the item's folder, empty for the item itself
 */
export function takes({ only, not }, inside) {
  if (inside === "" || inside === "/") return true;
  if (not?.test(inside)) return false;
  return inside.endsWith("/") || (only?.test(inside) ?? true);
}
