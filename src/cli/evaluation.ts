/** A network measured on a data set. */
import { batchOf } from "../data/index.js";
import type { Network } from "../network/index.js";
import type { PlacedExamples } from "./placed.js";

const CHUNK = 2000;

/** Mean loss over all examples, or over those that `indices` names. */
export async function meanLoss(
  network: Network,
  examples: PlacedExamples,
  indices?: Uint32Array,
): Promise<number> {
  return (await examples.evaluate(network, indices)).loss;
}

/** Share of examples whose largest output is that of their class. */
export async function accuracyOf(network: Network, examples: PlacedExamples): Promise<number> {
  const { loss } = network;
  const { images: data } = examples;
  if (loss.kind === "softmaxCrossEntropy") {
    const { accuracy } = await examples.evaluate(network);
    // A count of examples, without the rounding of f32.
    return Math.round(accuracy * data.count) / data.count;
  }
  // The network counts by outputs for the other losses; here every one of them classifies.
  let right = 0;
  for (let start = 0; start < data.count; start += CHUNK) {
    const count = Math.min(CHUNK, data.count - start);
    const indices = Uint32Array.from({ length: count }, (_, i) => start + i);
    const outputs = await network.predict(batchOf(data, indices, loss).inputs, count);
    for (let i = 0; i < count; i++) {
      if (largestAt(outputs, i * data.classes, data.classes) === data.labels[start + i]) right++;
    }
  }
  return right / data.count;
}

function largestAt(values: Float32Array, start: number, length: number): number {
  let best = 0;
  for (let c = 1; c < length; c++) if (values[start + c]! > values[start + best]!) best = c;
  return best;
}
