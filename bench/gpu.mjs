// The library's own side of a comparison: matrices on the GPU, and repetitions recorded into one submit.

/**
 * @typedef {typeof import("../src/node.js")} Library
 * @typedef {import("../src/index.js").Engine} Engine
 * @typedef {import("../src/index.js").Recorder} Recorder
 *
 * @typedef {object} Lab
 * @property {Library} library the built library
 * @property {Engine} engine
 * @property {number} cacheBytes what inputs must pass to come from memory
 *
 * @typedef {Required<import("../src/index.js").MatrixView>} View
 *
 * @typedef {import("../src/timing/index.js").Runner & {
 *   readonly dispatches: number,
 *   output(): Promise<Float32Array[]>,
 *   dispose(): void,
 * }} OwnRunner `output` is what the first set of inputs gives; `dispatches` are of the last repetition
 */

const padded = (/** @type {number} */ count) => 4 * Math.ceil(count / 4);

/**
 * @typedef {{ rows: number, cols: number, data?: ArrayLike<number> }} Numbers of a matrix, dense; zeros without data
 */

/** Several matrices in one buffer, as the layers of a network lie; rows start on a vec4f. */
export class Arena {
  /** @param {Pick<Lab, "engine">} lab @param {readonly Numbers[]} matrices */
  constructor({ engine }, matrices) {
    this.engine = engine;
    let length = 0;
    const places = matrices.map(({ rows, cols }) => {
      const offset = length;
      length += rows * padded(cols);
      return { offset, rows, cols, stride: padded(cols) };
    });
    this.buffer = engine.manager.createStorage("bench", length);
    /** @type {View[]} */
    this.views = places.map((place) => ({ buffer: this.buffer, ...place }));
    if (matrices.some(({ data }) => data)) {
      const all = new Float32Array(padded(length));
      matrices.forEach(({ rows, cols, data }, k) => {
        const { offset, stride } = places[k];
        for (let i = 0; data && i < rows; i++) {
          for (let j = 0; j < cols; j++) all[offset + i * stride + j] = data[i * cols + j];
        }
      });
      engine.device.queue.writeBuffer(this.buffer, 0, all);
    }
  }

  /** The matrices as they are now, dense. */
  async read() {
    const recorder = this.engine.manager.record();
    const reading = recorder.read(this.buffer);
    recorder.submit();
    const all = new Float32Array(await reading);
    return this.views.map(({ offset, rows, cols, stride }) => {
      const dense = new Float32Array(rows * cols);
      for (let i = 0; i < rows; i++) {
        dense.set(all.subarray(offset + i * stride, offset + i * stride + cols), i * cols);
      }
      return dense;
    });
  }

  dispose() {
    this.engine.manager.destroyBuffer(this.buffer);
  }
}

/**
 * The matrices of each set in an arena of its own.
 * @param {Lab} lab @param {readonly { list: readonly { S: Float32Array, n: number }[] }[]} sets
 */
export const squareArenas = (lab, sets) =>
  sets.map(({ list }) => {
    const matrices = list.map(({ S, n }) => ({ rows: n, cols: n, data: S }));
    return new Arena(lab, matrices);
  });

/**
 * Repetitions of `record` over rotating sets of inputs, all in one submit. Each has a recorder of its own over the shared
 * encoder, so that scratch is reused from one to the next.
 * @template T
 * @param {Lab} lab
 * @param {readonly T[]} sets
 * @param {(recorder: Recorder, set: T) => void} record
 * @param {{ output: () => Promise<Float32Array[]>, dispose: () => void }} rest
 * @returns {OwnRunner}
 */
export function recordedRunner({ engine }, sets, record, { output, dispose }) {
  const { device, manager } = engine;
  let next = 0;
  let dispatches = 0;
  /** @type {OwnRunner} */
  const runner = {
    get dispatches() {
      return dispatches;
    },
    async run(repetitions) {
      const encoder = device.createCommandEncoder();
      for (let k = 0; k < repetitions; k++) {
        const recorder = manager.record(encoder);
        record(recorder, sets[next]);
        recorder.end();
        dispatches = recorder.dispatches;
        next = (next + 1) % sets.length;
      }
      const commands = encoder.finish();
      const start = performance.now();
      device.queue.submit([commands]);
      await device.queue.onSubmittedWorkDone();
      return { deviceMs: performance.now() - start };
    },
    async output() {
      next = 0;
      await runner.run(1);
      return await output();
    },
    dispose,
  };
  return runner;
}
