import { ANYTHING, optionsOf, SIGNAL } from "../arguments.js";
import { ShapeError } from "../errors.js";
import { readMatrix } from "../host/index.js";
import { requireSize } from "../layers/sizes.js";
import { isDatasetBatch } from "../model/batch.js";
import type { BatchInputs, ModelBatch } from "../model/index.js";
import type { PipelineManager } from "../pipeline/index.js";
import { GpuBatch } from "../resident/index.js";
import { requireBatch } from "./batch.js";
import { inChunks, slices } from "./chunks.js";
import type { Gathering } from "./gathering.js";
import { type InputPort, sliceInputs } from "./inputs.js";
import type { Loaded, Passes } from "./passes.js";

/** What a network says of a data set. */
export interface Evaluation {
  /** Mean loss over all examples. */
  loss: number;
  /** Share of examples classified right; 0 for a loss that classifies nothing. */
  accuracy: number;
  count: number;
}

/** What predictions and evaluations ask of a network. */
export interface Evaluated {
  readonly manager: PipelineManager;
  readonly ports: readonly InputPort[];
  readonly outputs: number;
  readonly batchSize: number;
  readonly passes: Passes;
  /** Where batches of data sets on the GPU come from. */
  readonly gathering: Gathering;
  /** Sends checked inputs, or the numbers of examples on the GPU; what was loaded is forgotten. */
  writeInputs(inputs: BatchInputs | GpuBatch, count: number): void;
  /** Checks and sends a batch. */
  write(batch: ModelBatch): Loaded;
  /** Makes room for what the loss binds. */
  prepareLoss(): void;
}

/** The outputs for checked inputs in chunks, count × outputs. @throws AbortedError once the signal fires */
export async function predict(
  network: Evaluated,
  inputs: BatchInputs | GpuBatch,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { manager, ports, outputs, batchSize, passes, gathering } = network;
  const predictions = new Float32Array(count * outputs);
  const submit = async (start: number, end: number) => {
    const size = end - start;
    const part =
      inputs instanceof GpuBatch ? inputs.part(start, end) : sliceInputs(ports, inputs, start, end);
    network.writeInputs(part, size);
    const recorder = manager.record();
    if (part instanceof GpuBatch) gathering.record(recorder, part, { targets: false });
    const Z = passes.forward(recorder, size);
    const reading = readMatrix(recorder, Z);
    recorder.submit();
    predictions.set((await reading).data, start * outputs);
  };
  await inChunks("predict", count, batchSize, submit, signal);
  return predictions;
}

const OPTIONS = { total: ANYTHING, signal: SIGNAL };

/**
 * Mean loss and accuracy in chunks.
 *
 * @throws ArgumentError, ShapeError or DataError for bad data, AbortedError once the signal fires.
 */
export async function evaluate(
  network: Evaluated,
  data: ModelBatch | ((start: number, end: number) => ModelBatch),
  options: { total?: number; signal?: AbortSignal },
): Promise<Evaluation> {
  const { total = 0, signal } = optionsOf("evaluate", OPTIONS, options);
  const { manager, batchSize, passes, gathering } = network;
  if (typeof data !== "function") requireBatch("evaluate", data);
  const count = typeof data === "function" ? total : data.count;
  requireSize("evaluate", typeof data === "function" ? "total" : "count", count);
  const supplier = supplierOf(data, network);
  const submit = async (start: number, end: number) => {
    const batch = supplier(start, end);
    const loaded = network.write(batch);
    if (loaded.count !== end - start) {
      throw new ShapeError("evaluate", "the chunk", [loaded.count], [end - start]);
    }
    const recorder = manager.record();
    network.prepareLoss();
    if (loaded.gathered) gathering.record(recorder, loaded.gathered);
    passes.forward(recorder, loaded.count);
    passes.loss(recorder, loaded, { gradient: false, statistics: { buffer: passes.evaluated, index: 0 } });
    const reading = recorder.read(passes.evaluated, 0, 8);
    recorder.submit();
    const [mean, share] = new Float32Array(await reading);
    return { loss: mean! * loaded.count, right: share! * loaded.count };
  };
  const chunks = await inChunks("evaluate", count, batchSize, submit, signal);
  const sum = (part: "loss" | "right") => chunks.reduce((all, chunk) => all + chunk[part], 0);
  return { loss: sum("loss") / count, accuracy: sum("right") / count, count };
}

function supplierOf(
  data: ModelBatch | ((start: number, end: number) => ModelBatch),
  network: Evaluated,
): (start: number, end: number) => ModelBatch {
  if (typeof data === "function") return data;
  return isDatasetBatch(data) ? (start, end) => data.part(start, end) : slices(data, network);
}
