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
 * @typedef {{ S: Float32Array, n: number }} Symmetric an n × n matrix
 *
 * @typedef {object} InputsOf what an operation works on, by the peers' name of it
 * @property {{ A: Float32Array, X: Float32Array, d: number, n: number }} gram A is d × n, X its transpose
 * @property {{ A: Float32Array, B: Float32Array, m: number, k: number, n: number }} matmul
 * @property {{ P: Float32Array, G: Float32Array, Q: Float32Array, m: number, n: number }} sandwich
 * @property {{ list: Symmetric[] }} invert one matrix or several
 * @property {{ list: Symmetric[] }} eigh
 *
 * @typedef {keyof InputsOf} Kind
 * @typedef {InputsOf[Kind]} Inputs
 * @typedef {readonly ArrayLike<number>[]} Outputs matrices, dense and row-major
 */

/**
 * Its functions are methods, so that a case of one kind is a case.
 * @template {Inputs} [I=Inputs]
 * @typedef {{
 *   id: string,
 *   label: string,
 *   size: number,
 *   series?: string,
 *   work: number,
 *   flops?: number,
 *   precision?: import("../../src/index.js").Precision,
 *   bytes: number,
 *   tolerance: number,
 *   inputs(seed: number): I,
 *   check(outputs: Outputs, inputs: I): number,
 *   ours(lab: import("../gpu.mjs").Lab, sets: readonly I[]): import("../gpu.mjs").OwnRunner,
 * }} Case `size` is where it stands on the axis of a chart and `series` which line of the chart it belongs to, if any; by
 *   `work` times are predicted from one case to the next; `flops` are useful ones, where they are counted; with a
 *   `precision` other than f32 the library is alone, on adapters that have it; `bytes` are of one
 *   set of inputs; `check` gives the relative error against f64
 *
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} title
 * @property {Kind} kind the peers' name of it
 * @property {(extent: Extent, software: boolean) => Case[]} cases
 */

/** @type {Operation[]} */
export const OPERATIONS = [gram, convolution, invert, sandwich, matmul, eigh];
