// node examples/fit/index.mjs: trains until it gets no better, or until Ctrl-C; keeps the best weights, and saves them.
import { createNodeEngine, FitAbortedError, saveRun, writeCheckpoint } from "kfac-webgpu/node";
import { train } from "./ring.mjs";

const engine = await createNodeEngine();
const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());
try {
  const { net, kfac, history } = await train(engine, {
    epochs: 100,
    earlyStopping: { patience: 5 },
    signal: interrupt.signal,
  });
  const { ended, bestEpoch, epochs } = history;
  const { validationAccuracy } = epochs[bestEpoch - 1];
  console.log(
    `${ended} after ${epochs.length} epochs; epoch ${bestEpoch} was best: ${validationAccuracy} right`,
  );
  writeCheckpoint("ring.kfac", await saveRun(net, kfac, { epoch: bestEpoch }));
} catch (error) {
  if (!(error instanceof FitAbortedError)) throw error;
  console.log(`stopped after ${error.history.steps} steps`);
}
engine.dispose();
