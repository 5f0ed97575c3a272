import { must, objectLike } from "../arguments.js";
import type { Network } from "../network/index.js";
import type { Optimizer, OptimizerState } from "../optimizers/index.js";

/** What a checkpoint needs of a network. */
export type SavedNetwork = Pick<Network, "layers" | "weights" | "setWeights">;
/** What a checkpoint needs of an optimiser. */
export type SavedOptimizer = Pick<Optimizer, "state" | "restore">;

/** Weights and optimiser state at one point of a run, in main memory. */
export interface Snapshot {
  readonly weights: Float32Array[];
  readonly state: OptimizerState;
}

/**
 * Reads weights and optimiser state after the steps asked for so far and before any asked for later. `setWeights` and `restore` put
 * them back.
 *
 * @throws (by rejection) ArgumentError for what is no network or optimiser, or is disposed of, DeviceLostError
 */
export async function snapshot(network: SavedNetwork, optimizer: SavedOptimizer): Promise<Snapshot> {
  requireRun("snapshot", network, optimizer);
  // Asked for together: no step comes in between.
  const [weights, state] = await Promise.all([network.weights(), optimizer.state()]);
  return { weights, state };
}

const NETWORK = objectLike("a network", "weights", "setWeights");
const OPTIMIZER_LIKE = objectLike("an optimiser", "state", "restore");

/** @throws ArgumentError for what is no network or optimiser */
export function requireRun(operation: string, network: SavedNetwork, optimizer: SavedOptimizer): void {
  must(operation, "network", network, NETWORK);
  must(operation, "optimizer", optimizer, OPTIMIZER_LIKE);
}
