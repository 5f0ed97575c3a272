// The library's own side of a comparison: matrices on the GPU, and repetitions recorded into one submit.

/**
 * @typedef {object} Lab
 * @property {any} library the built library
 * @property {any} engine
 * @property {number} cacheBytes what inputs must pass to come from memory
 *
 * @typedef {{ buffer: GPUBuffer, offset: number, rows: number, cols: number, stride: number }} View
 */

const padded = (/** @type {number} */ count) => 4 * Math.ceil(count / 4);

/** Several matrices in one buffer, as the layers of a network lie; rows start on a vec4f. */
export class Arena {
  /** @param {Lab} lab @param {readonly { rows: number, cols: number, data?: ArrayLike<number> }[]} matrices */
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
 * Repetitions of `record` over rotating sets of inputs, all in one submit. Each has a recorder of its own over the shared
 * encoder, so that scratch is reused from one to the next.
 * @template T
 * @param {Lab} lab
 * @param {readonly T[]} sets
 * @param {(recorder: any, set: T) => void} record
 * @param {{ output: () => Promise<Float32Array[]>, dispose: () => void }} rest
 * @returns {import("./measure.mjs").Runner & { dispatches: number }}
 */
export function recordedRunner({ engine }, sets, record, { output, dispose }) {
  const { device, manager } = engine;
  let next = 0;
  const runner = {
    dispatches: 0,
    async run(/** @type {number} */ repetitions) {
      const encoder = device.createCommandEncoder();
      for (let k = 0; k < repetitions; k++) {
        const recorder = manager.record(encoder);
        record(recorder, sets[next]);
        recorder.end();
        runner.dispatches = recorder.dispatches;
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
