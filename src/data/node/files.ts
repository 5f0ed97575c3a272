/** Files that are whole at every moment. */

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { threadId } from "node:worker_threads";
import { instanceOf, must, TEXT } from "../../arguments.js";
import { DataError } from "../../errors.js";

/** A path. */
export const FILE = { ...TEXT, words: "the name of a file" };

/**
 * The bytes of a file. What is none, such as a pipe, on which a read might wait for ever, is refused.
 *
 * @throws Error for what is no file, and what the file system throws
 */
export function readFile(file: string): Uint8Array {
  const { O_RDONLY, O_NONBLOCK = 0 } = constants;
  const handle = openSync(file, O_RDONLY | O_NONBLOCK);
  try {
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw new Error(stat.isDirectory() ? "it is a folder" : "it is no file");
    return readFileSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Writes the whole file beside the old one and puts it in its place, so that `file` is complete at every moment. Takes no
 * turn of the event loop: no signal handler can come in between.
 *
 * @throws ArgumentError for what is no name or no `Uint8Array`, DataError when it cannot be written; the old file is then as it was
 */
export function replaceFile(file: string, bytes: Uint8Array): void {
  must("replaceFile", "file", file, FILE);
  must("replaceFile", "bytes", bytes, instanceOf(Uint8Array));
  // Another process, or thread, may be about to do the same.
  const temporary = `${file}.${process.pid}-${threadId}.tmp`;
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
    discard(temporary);
    throw notWritable(file, error);
  }
}

/** Whatever goes wrong with it: what went wrong before is what the caller should hear of. */
function discard(temporary: string): void {
  try {
    rmSync(temporary, { force: true });
  } catch {
    // A folder, or one that nothing may be removed from.
  }
}

/** Says why a file cannot be written. */
export function notWritable(file: string, error: unknown): DataError {
  const folder = dirname(file);
  const { code } = error as NodeJS.ErrnoException;
  const why =
    code === "ENOENT"
      ? `the folder ${folder} does not exist`
      : code === "EACCES" || code === "EROFS"
        ? `the folder ${folder} is not writable`
        : reason(error);
  return new DataError(file, `cannot be written (${why})`);
}

/** What the file system says, in words. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" ? "it does not exist" : (code ?? error.message);
}
