/** Checkpoints on disk. */

import { must } from "../../arguments.js";
import { CheckpointError } from "../../errors.js";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from "../checkpoint.js";
import { FILE, readFile, reason, replaceFile } from "./files.js";

/** @throws CheckpointError for a file that is missing or no checkpoint */
export function readCheckpoint(file: string): Checkpoint {
  must("readCheckpoint", "file", file, FILE);
  let bytes: Uint8Array;
  try {
    bytes = readFile(file);
  } catch (error) {
    throw new CheckpointError("file", `${file} cannot be read: ${reason(error)}`, { cause: error });
  }
  return decodeCheckpoint(bytes);
}

/**
 * Puts a checkpoint in the file's place, which is complete at every moment.
 *
 * @throws CheckpointError for weights that are not finite, DataError when the file cannot be written; the old one stays
 */
export function writeCheckpoint(file: string, checkpoint: Checkpoint): void {
  replaceFile(file, encodeCheckpoint(checkpoint));
}
