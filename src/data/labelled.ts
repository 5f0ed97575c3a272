/** Training and test examples of one data set, from images and labels as IDX files hold them. */
import { instanceOf, must, objectLike } from "../arguments.js";
import { DataError } from "../errors.js";
import { type Dataset, imageDataset } from "./dataset.js";
import { type IdxArray, parseIdx } from "./idx.js";

export interface LabelledData {
  readonly train: Dataset;
  /** Undefined where there are none. */
  readonly test: Dataset | undefined;
  /** Classes of both. */
  readonly classes: number;
}

/** Images (count × …) with one label each. The names stand for them in errors. */
export interface LabelledImages {
  readonly images: IdxArray;
  readonly labels: IdxArray;
  /** Defaults to "images". */
  readonly imagesName?: string;
  /** Defaults to "labels". */
  readonly labelsName?: string;
}

/**
 * Joins images and labels to data sets that agree on their classes: the largest label of both + 1.
 *
 * @throws ArgumentError and DataError as `imageDataset` does, and when training and test examples have different sizes
 */
export function labelledData(train: LabelledImages, test?: LabelledImages): LabelledData {
  const trainSet = joined("train", train);
  if (test === undefined) return { train: trainSet, test, classes: trainSet.classes };
  const testSet = joined("test", test);
  if (testSet.features !== trainSet.features) {
    const { imagesName = "images" } = test;
    const other = train.imagesName ?? "the training file";
    throw new DataError(
      imagesName,
      `has ${testSet.features} features per example and ${other} has ${trainSet.features}; pass files of one data set`,
      { actual: testSet.features, expected: trainSet.features },
    );
  }
  const classes = Math.max(trainSet.classes, testSet.classes);
  return { train: { ...trainSet, classes }, test: { ...testSet, classes }, classes };
}

/**
 * Reads a whole IDX file, also one packed by gzip: for files that were fetched or dropped on a page.
 *
 * @throws ArgumentError and DataError as `parseIdx` does, and for a packed file that is damaged
 */
export async function readIdx(bytes: Uint8Array, name = "IDX file"): Promise<IdxArray> {
  must("readIdx", "bytes", bytes, BYTES);
  if (!isGzip(bytes)) return parseIdx(bytes, name);
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  let unpacked: ArrayBuffer;
  try {
    unpacked = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  } catch (error) {
    throw damagedGzip(name, error instanceof Error ? error.message : String(error));
  }
  return parseIdx(new Uint8Array(unpacked), name);
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

export function damagedGzip(name: string, why: string): DataError {
  return new DataError(name, `cannot be unpacked (${why}); the file is damaged or cut short`);
}

const IMAGES = objectLike("{ images, labels }");
const BYTES = instanceOf(Uint8Array);

/** As `imageDataset`, with the files' names in the message. */
function joined(part: string, given: LabelledImages): Dataset {
  must("labelledData", part, given, IMAGES);
  const { images, labels, imagesName, labelsName } = given;
  try {
    return imageDataset(images, labels);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const name = error.source === "labels" ? labelsName : imagesName;
    if (name === undefined) throw error;
    throw new DataError(name, error.message.slice(error.source.length + 2, -1), {
      actual: error.actual,
      expected: error.expected,
    });
  }
}
