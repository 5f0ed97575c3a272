// kfac-webgpu's side: buffers made once, all repetitions of a sample in one submission.
import { type Engine, gram, invert, type MatrixView, matmul, type Recorder } from "kfac-webgpu";
import type { Case, HostArray } from "./cases.js";
import type { Contender } from "./contender.js";

export function ours(engine: Engine, { operation, inputs }: Case): Contender {
  const { manager, device } = engine;
  const buffers: GPUBuffer[] = [];
  const storage = (length: number) => {
    const buffer = manager.createStorage("benchmark", length);
    buffers.push(buffer);
    return buffer;
  };
  const view = ({ rows, cols, data }: HostArray): MatrixView => {
    const buffer = storage(data.length);
    device.queue.writeBuffer(buffer, 0, data);
    return { buffer, rows, cols };
  };
  const views = inputs.map(view);
  const [first, second] = [views[0]!, views[1]];
  const rows = operation === "gram" ? first.cols : first.rows;
  const cols = second?.cols ?? first.cols;
  const into: MatrixView = { buffer: storage(rows * cols), rows, cols };
  const [dampings, status] = [storage(1), storage(1)];

  const record = (recorder: Recorder) => {
    if (operation === "gram") gram(recorder, { A: first, examples: "rows", into });
    else if (operation === "invert") invert(recorder, [{ S: first, into }], { dampings, status });
    else matmul(recorder, { A: first, B: second!, into });
  };
  return {
    formulation: { gram: 'gram, examples: "rows"', invert: "invert", matmul: "matmul" }[operation],
    async run(repetitions) {
      const encoder = device.createCommandEncoder();
      for (let k = 0; k < repetitions; k++) {
        // A recorder each, so that scratch goes back to the pool in between.
        const recorder = manager.record(encoder);
        record(recorder);
        recorder.end();
      }
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    },
    async output() {
      const recorder = manager.record();
      record(recorder);
      const bytes = recorder.read(into.buffer, 0, 4 * rows * cols);
      recorder.submit();
      return new Float32Array(await bytes);
    },
    dispose() {
      for (const buffer of buffers) manager.destroyBuffer(buffer);
    },
  };
}
