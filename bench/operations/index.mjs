// What is measured. An operation has cases; each makes its inputs, checks outputs, and knows how the library does it. How
// the peers do it is in ../peers.
import { convolution } from "./convolution.mjs";
import { eigh } from "./eigh.mjs";
import { gram } from "./gram.mjs";
import { invert } from "./invert.mjs";
import { matmul } from "./matmul.mjs";
import { sandwich } from "./sandwich.mjs";

/**
 * @typedef {"quick" | "full"} Extent
 *
 * @typedef {object} Case
 * @property {string} id
 * @property {string} label
 * @property {number} size where it stands on the axis of a chart
 * @property {string} [series] which line of the chart it belongs to, if any
 * @property {number} work by which times are predicted from one case to the next
 * @property {number} [flops] useful ones, where they are counted
 * @property {number} bytes of one set of inputs
 * @property {(seed: number) => any} inputs
 * @property {(outputs: ArrayLike<number>[], inputs: any) => number} check relative error against f64
 * @property {number} tolerance
 * @property {(lab: import("../gpu.mjs").Lab, sets: any[]) => import("../measure.mjs").Runner} ours
 *
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} title
 * @property {string} kind the peers' name of it
 * @property {(extent: Extent, software: boolean) => Case[]} cases
 */

/** @type {Operation[]} */
export const OPERATIONS = [gram, convolution, invert, sandwich, matmul, eigh];
