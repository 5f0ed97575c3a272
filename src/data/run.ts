/** What a training run needs to continue bitwise, as a checkpoint. */
import { CheckpointError } from "../errors.js";
import type { Network } from "../network/index.js";
import type { Optimizer } from "../optimizers/index.js";
import type { Checkpoint, JsonObject } from "./checkpoint.js";

/** What a checkpoint needs of a network. */
export type SavedNetwork = Pick<Network, "layers" | "weights" | "setWeights">;
/** What a checkpoint needs of an optimiser. */
export type SavedOptimizer = Pick<Optimizer, "state" | "restore">;

const WEIGHTS = "weights/";
const OPTIMIZER = "optimizer/";

/**
 * Weights and optimiser state as they are after everything submitted so far; no step may be in flight. `meta` is what the
 * caller wants to find again: sizes, counters, settings.
 */
export async function saveRun(
  network: SavedNetwork,
  optimizer: SavedOptimizer,
  meta: JsonObject = {},
): Promise<Checkpoint> {
  const weights = await network.weights();
  const state = await optimizer.state();
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
 * @throws CheckpointError when they are not those of this network and optimiser; then nothing has changed
 */
export async function restoreRun(
  { tensors }: Checkpoint,
  network: SavedNetwork,
  optimizer: SavedOptimizer,
): Promise<void> {
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
