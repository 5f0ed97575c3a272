/** Data sets as folders of IDX files, named as MNIST's are. */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { must, TEXT } from "../../arguments.js";
import { DataError } from "../../errors.js";
import { type IdxArray, parseIdx } from "../idx.js";
import { damagedGzip, isGzip, type LabelledData, type LabelledImages, labelledData } from "../labelled.js";
import { readFile, reason } from "./files.js";

/**
 * Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, where present, the same with t10k; also with a dot
 * (`train-images.idx3-ubyte`), compressed (`.gz`) or with other dimensions (`idx2`).
 *
 * @throws DataError for files that are missing, damaged or do not fit one another
 */
export function readIdxFolder(folder: string): LabelledData {
  must("readIdxFolder", "folder", folder, { ...TEXT, words: "the name of a folder" });
  const names = list(folder);
  const train = readPair(folder, names, "train");
  if (train === undefined) {
    throw new DataError(
      folder,
      "has no train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz); pass a folder with files named as MNIST's",
    );
  }
  return labelledData(train, readPair(folder, names, "t10k"));
}

function readPair(
  folder: string,
  names: readonly string[],
  part: "train" | "t10k",
): LabelledImages | undefined {
  const imagesFile = find(names, part, "images");
  const labelsFile = find(names, part, "labels");
  if (imagesFile === undefined && labelsFile === undefined) return undefined;
  if (imagesFile === undefined || labelsFile === undefined) {
    const [there, missing] =
      imagesFile === undefined ? [labelsFile, "images-idx3"] : [imagesFile, "labels-idx1"];
    throw new DataError(folder, `has ${there} but no ${part}-${missing}-ubyte (plain or .gz); add it`);
  }
  const [imagesName, labelsName] = [join(folder, imagesFile), join(folder, labelsFile)];
  return { images: readIdxFile(imagesName), labels: readIdxFile(labelsName), imagesName, labelsName };
}

/** The plain file before the compressed one. */
function find(names: readonly string[], part: string, content: string): string | undefined {
  const pattern = new RegExp(`^${part}-${content}[-.]idx\\d-ubyte(\\.gz)?$`);
  return names.filter((name) => pattern.test(name)).sort((a, b) => a.length - b.length)[0];
}

function list(folder: string): string[] {
  try {
    if (statSync(folder).isDirectory()) return readdirSync(folder).sort();
  } catch (error) {
    throw new DataError(folder, `cannot be read (${reason(error)}); pass a folder of IDX files`);
  }
  throw new DataError(folder, "is not a folder; pass the folder that holds the IDX files");
}

/** Plain or compressed, whatever it is called. */
function readIdxFile(path: string): IdxArray {
  let bytes: Uint8Array;
  try {
    bytes = readFile(path);
  } catch (error) {
    throw new DataError(path, `cannot be read (${reason(error)})`);
  }
  if (!isGzip(bytes)) return parseIdx(bytes, path);
  try {
    bytes = gunzipSync(bytes);
  } catch (error) {
    throw damagedGzip(path, reason(error));
  }
  return parseIdx(bytes, path);
}
