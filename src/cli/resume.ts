/** What must hold before a run is started or resumed. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { JsonObject, JsonValue } from "../data/index.js";
import { notWritable } from "../data/node/files.js";
import { CheckpointError } from "../errors.js";

/**
 * Fails now rather than after an hour of training when the file could not be written.
 *
 * @throws DataError
 */
export function requireWritable(file: string): void {
  try {
    if (existsSync(file) && statSync(file).isDirectory()) throw new Error("it is a folder");
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw notWritable(file, error);
  }
}

/**
 * @throws CheckpointError, naming the first difference, unless `meta` agrees with `expected` in all of `expected`'s keys
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
