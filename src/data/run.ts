/** What a training run needs to continue bitwise, as a checkpoint. */
import { must, OBJECT } from "../arguments.js";
import { CheckpointError } from "../errors.js";
import { type Checkpoint, type JsonObject, requireCheckpoint } from "./checkpoint.js";
import { requireRun, type SavedNetwork, type SavedOptimizer, snapshot } from "./snapshot.js";

const WEIGHTS = "weights/";
const OPTIMIZER = "optimizer/";

/**
 * Weights and optimiser state as they are after the steps asked for so far. `meta` is what the
 * caller wants to find again: sizes, counters, settings.
 *
 * @throws ArgumentError for what is no network or optimiser
 */
export async function saveRun(
  network: SavedNetwork,
  optimizer: SavedOptimizer,
  meta: JsonObject = {},
): Promise<Checkpoint> {
  requireRun("saveRun", network, optimizer);
  must("saveRun", "meta", meta, OBJECT);
  const { weights, state } = await snapshot(network, optimizer);
  return {
    meta,
    tensors: Object.fromEntries([
      ...weights.map((tensor, l) => [`${WEIGHTS}${l}`, tensor] as const),
      ...Object.entries(state).map(([name, tensor]) => [OPTIMIZER + name, tensor] as const),
    ]),
  };
}

/**
 * Puts the tensors of `saveRun` back.
 *
 * @throws ArgumentError for what is no checkpoint, network or optimiser, CheckpointError when they are not those of this network and optimiser; then nothing has changed
 */
export async function restoreRun(
  checkpoint: Checkpoint,
  network: SavedNetwork,
  optimizer: SavedOptimizer,
): Promise<void> {
  const { tensors } = requireCheckpoint("restoreRun", checkpoint);
  requireRun("restoreRun", network, optimizer);
  const present = await network.weights();
  const weights = present.map((old, l) => {
    const tensor = tensors[`${WEIGHTS}${l}`];
    const name = network.layers[l]?.name ?? `${l}`;
    if (!(tensor instanceof Float32Array) || tensor.length !== old.length) {
      throw new CheckpointError(
        `weights of layer ${name}`,
        `are ${tensor?.length ?? 0} numbers and the network has ${old.length}; resume with the network it was saved from`,
      );
    }
    return tensor;
  });
  const state = Object.entries(tensors)
    .filter(([name]) => name.startsWith(OPTIMIZER))
    .map(([name, tensor]) => [name.slice(OPTIMIZER.length), tensor] as const);
  optimizer.restore(Object.fromEntries(state));
  network.setWeights(weights);
}
