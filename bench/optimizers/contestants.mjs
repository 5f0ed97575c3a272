// Who takes part, and with which settings: what each may try is its whole tuning budget.

/**
 * @typedef {import("../gpu.mjs").Engine} Engine
 * @typedef {import("../../src/index.js").Network} Network
 * @typedef {import("../../src/index.js").Optimizer} Optimizer
 * @typedef {Readonly<Record<string, unknown>>} Options of an optimiser
 *
 * @typedef {{ label: string, options: Options }} Setting
 *
 * @typedef {object} Contestant
 * @property {string} id
 * @property {string} name
 * @property {readonly Setting[]} settings each is run; the best is told beside the others
 * @property {(engine: Engine, network: Network, options: Options) => Optimizer} make
 */

/** @type {Contestant["make"]} */
const kfac = (engine, network, options) =>
  /** @type {Optimizer} */ (/** @type {unknown} */ (engine.kfac(network, options)));

/** @param {readonly number[]} values @returns {Setting[]} */
const rates = (values) => values.map((rate) => ({ label: String(rate), options: { learningRate: rate } }));

/** @type {readonly Contestant[]} */
export const CONTESTANTS = [
  {
    ...{ id: "adam", name: "Adam", settings: rates([1e-3, 3e-3, 1e-2, 3e-2]) },
    make: (engine, network, options) =>
      /** @type {Optimizer} */ (/** @type {unknown} */ (engine.adam(network, options))),
  },
  {
    ...{ id: "sgd", name: "SGD, momentum 0.9", settings: rates([3e-3, 1e-2, 3e-2, 1e-1]) },
    make: (engine, network, options) =>
      /** @type {Optimizer} */ (
        /** @type {unknown} */ (engine.sgd(network, /** @type {{ learningRate: number }} */ (options)))
      ),
  },
  { id: "kfac", name: "K-FAC", settings: [{ label: "defaults", options: {} }], make: kfac },
  {
    ...{ id: "ekfac", name: "EKFAC", settings: [{ label: "defaults", options: { curvature: "ekfac" } }] },
    make: kfac,
  },
  { id: "kfac-rates", name: "K-FAC at fixed rates", settings: rates([1e-2, 3e-2, 1e-1, 3e-1]), make: kfac },
];

/** Run unless others are named. */
export const DEFAULT_CONTESTANTS = ["adam", "kfac"];

/**
 * K-FAC with options of one's own, to set beside the defaults.
 * @param {string} name @param {Options} options @returns {Contestant}
 */
export const variant = (name, options) => ({
  ...{ id: name, name: `K-FAC, ${name}`, settings: [{ label: "set", options }] },
  make: kfac,
});

/**
 * The two sides of the line that says what adaptation costs: K-FAC as it is without options, and the same with fixed numbers
 * in place of whatever it adapts.
 * @type {{ adaptive: Options, fixed: Options }}
 */
export const COST_SIDES = {
  adaptive: {},
  fixed: { learningRate: 0.03, momentum: 0.9, damping: 0.05, emaDecay: 0.95, samples: 1 },
};
