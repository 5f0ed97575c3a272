import { Recorder } from "../../pipeline/index.js";

/** What is cleared in a recording for the clear's sake. */
const spares = new WeakMap<Recorder, GPUBuffer>();

/**
 * Records `body` through a recorder of its own on the same encoder, whose scratch is free again once `body` has been
 * recorded: what is repeated many times in one recording takes the memory of one repetition.
 */
export function scoped(recorder: Recorder, body: (recorder: Recorder) => void): void {
  let spare = spares.get(recorder);
  if (!spare) {
    spare = recorder.scratch(4);
    spares.set(recorder, spare);
  }
  // A clear ends the open pass, so that the other recorder can begin one.
  recorder.clear(spare);
  const inner = new Recorder(recorder.manager, recorder.encoder);
  try {
    body(inner);
  } finally {
    inner.end();
  }
}
