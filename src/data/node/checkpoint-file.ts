/** Checkpoints of a training run on disk. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Network, Optimizer } from "../../cli/engine.js";
import { Failure } from "../../cli/failure.js";
import { CheckpointError } from "../../errors.js";
import {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type JsonObject,
  type JsonValue,
} from "../index.js";

/** Fails now rather than after an hour of training when the file could not be written. */
export function requireWritable(file: string): void {
  const folder = dirname(file);
  try {
    if (existsSync(file) && statSync(file).isDirectory()) throw new Error("it is a folder");
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new Failure(`${file} cannot be written: ${explain(error, folder)}.`);
  }
}

function explain(error: unknown, folder: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return `the folder ${folder} does not exist`;
  return code === "EACCES" || code === "EROFS" ? `the folder ${folder} is not writable` : (code ?? message);
}

/**
 * Writes the whole file beside the old one and puts it in its place, so that `file` is complete at every moment. Takes no
 * turn of the event loop: a second Ctrl-C cannot come in between.
 */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const temporary = `${file}.tmp`;
  try {
    const handle = openSync(temporary, "w");
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(handle, bytes, done);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new Failure(`${file} cannot be written: ${explain(error, dirname(file))}.`);
  }
}

/** Saves weights and optimiser state as they are after the last step; none may be in flight. */
export async function saveRun(
  file: string,
  meta: JsonObject,
  network: Network,
  optimizer: Optimizer,
): Promise<void> {
  const weights = await network.weights();
  const state = await optimizer.state();
  const tensors: Checkpoint["tensors"] = {};
  weights.forEach((tensor, l) => {
    tensors[`weights/${l}`] = tensor;
  });
  for (const [name, tensor] of Object.entries(state)) tensors[`optimizer/${name}`] = tensor;
  writeWhole(file, encodeCheckpoint({ meta, tensors }));
}

/** Throws `CheckpointError` for a file that is missing or no checkpoint. */
export function readRun(file: string): Checkpoint {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it does not exist" : (code ?? message);
    throw new CheckpointError("file", `${file} cannot be read: ${why}`, { cause: error });
  }
  return decodeCheckpoint(bytes);
}

/** Puts the run's tensors back. Throws `CheckpointError` when they are not those of this network and optimiser. */
export async function restoreRun(
  { tensors }: Checkpoint,
  network: Network,
  optimizer: Optimizer,
): Promise<void> {
  const present = await network.weights();
  const weights = present.map((old, l) => {
    const tensor = tensors[`weights/${l}`];
    const name = network.layers[l]?.name ?? `${l}`;
    if (!(tensor instanceof Float32Array) || tensor.length !== old.length) {
      throw new CheckpointError(
        `weights of layer ${name}`,
        `are ${tensor?.length ?? 0} numbers and the network has ${old.length}; resume with the network it was saved from`,
      );
    }
    return tensor;
  });
  const prefix = "optimizer/";
  const state = Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
  await optimizer.restore(state);
  await network.setWeights(weights);
}

/**
 * Throws `CheckpointError`, naming the first difference, unless `meta` agrees with `expected` in all of `expected`'s keys.
 */
export function requireSame(
  meta: JsonObject,
  expected: Readonly<Record<string, JsonValue | undefined>>,
): void {
  for (const [key, wanted] of Object.entries(expected)) {
    if (wanted === undefined) continue;
    const saved = meta[key];
    if (JSON.stringify(saved) === JSON.stringify(wanted)) continue;
    throw new CheckpointError(
      key,
      `is ${inWords(saved)} in the file and ${inWords(wanted)} here; resume with what the run was started with`,
    );
  }
}

function inWords(value: JsonValue | undefined): string {
  if (value === undefined) return "absent";
  return Array.isArray(value) ? value.join("-") : String(value);
}
