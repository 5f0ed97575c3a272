/** Small data sets in the MNIST file format. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll } from "vitest";
import { RandomStream } from "../../src/random/index.js";

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A folder of its own, which goes with the file of tests that asked for it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "kfac-cli-"));
  folders.push(folder);
  return folder;
}

export function idxBytes(shape: readonly number[], data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length);
  const view = new DataView(bytes.buffer);
  bytes[2] = 8;
  bytes[3] = shape.length;
  shape.forEach((size, d) => {
    view.setUint32(4 + 4 * d, size);
  });
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
}

export interface SyntheticOptions {
  train?: number;
  /** 0: no test files. */
  test?: number;
  side?: number;
  classes?: number;
  separator?: "-" | ".";
  gzip?: boolean;
}

/** Images with a bright row for their class, and noise: easy to learn. Returns the folder. */
export function syntheticFolder(options: SyntheticOptions = {}): string {
  const { train = 60, test = 20, side = 4, classes = 3, separator = "-", gzip = false } = options;
  const folder = join(temporaryFolder(), "data");
  mkdirSync(folder);
  const random = new RandomStream(7);
  const write = (name: string, bytes: Uint8Array) =>
    writeFileSync(join(folder, gzip ? `${name}.gz` : name), gzip ? gzipSync(bytes) : bytes);
  for (const [part, count] of [
    ["train", train],
    ["t10k", test],
  ] as const) {
    if (count === 0) continue;
    const labels = Uint8Array.from({ length: count }, (_, i) => i % classes);
    const images = Uint8Array.from({ length: count * side * side }, (_, k) => {
      const row = Math.floor((k % (side * side)) / side);
      const bright = row === labels[Math.floor(k / (side * side))];
      return (bright ? 160 : 20) + random.integer(90);
    });
    write(`${part}-images${separator}idx3-ubyte`, idxBytes([count, side, side], images));
    write(`${part}-labels${separator}idx1-ubyte`, idxBytes([count], labels));
  }
  return folder;
}
