import type { Recorder } from "../../pipeline/index.js";

/**
 * Records `body` through a recorder of its own on the same encoder, whose scratch is free again once `body` has been
 * recorded: what is repeated many times in one recording takes the memory of one repetition.
 */
export function scoped(recorder: Recorder, body: (recorder: Recorder) => void): void {
  const inner = recorder.nested();
  try {
    body(inner);
  } finally {
    inner.end();
  }
}
