// How a library does an operation, with the types of what passes between its steps.

/**
 * @typedef {import("../operations/index.mjs").InputsOf} InputsOf
 * @typedef {import("../operations/index.mjs").Inputs} Inputs
 * @typedef {import("../operations/index.mjs").Kind} Kind
 */

/**
 * What the ways of a library have in common: reading, untimed, and letting go.
 * @template S what uploading makes of the inputs
 * @template R what a call gives
 * @typedef {{
 *   read(result: R): Promise<ArrayLike<number>[]>,
 *   free(result: R): void,
 *   drop(state: S): void,
 * }} Care
 */

/**
 * What a way has of its own. `upload` is untimed, may take its time, and gives nothing where the way does not apply; a
 * `call` begins one repetition, whose result may not be there yet. A library that runs elsewhere and times itself has `timed`
 * instead of calls: milliseconds of all repetitions.
 * @template {Inputs} I what it is given
 * @template S what uploading makes of it
 * @template R what a call gives
 * @typedef {{
 *   name: string,
 *   upload(inputs: I): S | undefined | Promise<S | undefined>,
 *   call(state: S): R,
 *   timed?(states: readonly S[], first: number, repetitions: number): Promise<number>,
 *   read?(result: R): Promise<ArrayLike<number>[]>,
 * }} Own
 */

/**
 * One way for a library to do an operation. Its functions are methods, so that those of one kind will do for any.
 * @typedef {Own<Inputs, unknown, unknown> & Care<unknown, unknown>} Formulation
 */

/** @typedef {Partial<Record<Kind, readonly Formulation[]>>} Formulations by operation, the most promising first */

/**
 * A way with its types handed on from one step to the next.
 * @template {Kind} K
 * @template S
 * @template R
 * @param {K} _kind
 * @param {Care<NoInfer<S>, NoInfer<R>>} care
 * @param {Own<InputsOf[K], S, R>} own
 * @returns {Formulation}
 */
export const way = (_kind, care, own) => ({ ...care, ...own });
