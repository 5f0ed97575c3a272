/**
 * The digits of the page: grey images with their classes, in one gzipped file that scripts/digits.mjs makes from MNIST.
 * Unpacked, little-endian:
 *
 *     0   4  magic "DGTS"
 *     4   1  version (1)
 *     5   1  height of an image
 *     6   1  width
 *     7   1  number of classes
 *     8   4  number of training examples
 *     12  4  number of test examples
 *     16     a class (one byte) for each example, training first, then its pixels (height · width bytes, row by row)
 */

const MAGIC = 0x53544744;
const VERSION = 1;
const HEADER_BYTES = 16;

export interface DigitSet {
  count: number;
  /** One class per example. */
  labels: Uint8Array;
  /** count · height · width numbers from 0 (paper) to 255 (ink). */
  pixels: Uint8Array;
}

export interface Digits {
  height: number;
  width: number;
  classes: number;
  train: DigitSet;
  test: DigitSet;
}

/** The file is not what it says it is. */
export class DigitsError extends Error {
  override readonly name = "DigitsError";
}

/** Unpacks and parses the file; a server may have unpacked it already. @throws DigitsError */
export async function readDigits(bytes: Uint8Array<ArrayBuffer>): Promise<Digits> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return parseDigits(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  let unpacked: ArrayBuffer;
  try {
    unpacked = await new Response(stream).arrayBuffer();
  } catch (cause) {
    throw new DigitsError("The file of digits is damaged: it does not unpack.", { cause });
  }
  return parseDigits(new Uint8Array(unpacked));
}

/** Checks everything the header claims against the length before a pixel is read. @throws DigitsError */
export function parseDigits(bytes: Uint8Array): Digits {
  if (bytes.length < HEADER_BYTES) {
    throw new DigitsError(`The file of digits has ${bytes.length} bytes; its header alone takes 16.`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw new DigitsError("This is not a file of digits.");
  const [version, height, width, classes] = bytes.subarray(4, 8) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (version !== VERSION) {
    throw new DigitsError(`The file of digits has version ${version}; this page reads version ${VERSION}.`);
  }
  if (height === 0 || width === 0 || classes === 0) {
    throw new DigitsError(`The file of digits has images of ${height} × ${width} and ${classes} classes.`);
  }
  const counts = [view.getUint32(8, true), view.getUint32(12, true)] as const;
  const count = counts[0] + counts[1];
  if (counts[0] === 0 || counts[1] === 0) throw new DigitsError("The file of digits lacks examples.");
  const expected = HEADER_BYTES + count * (1 + height * width);
  if (bytes.length !== expected) {
    throw new DigitsError(`The file of digits has ${bytes.length} bytes; ${count} digits take ${expected}.`);
  }
  const labels = bytes.subarray(HEADER_BYTES, HEADER_BYTES + count);
  const wrong = labels.findIndex((label) => label >= classes);
  if (wrong >= 0) {
    throw new DigitsError(`Digit ${wrong} of the file has class ${labels[wrong]}, there are ${classes}.`);
  }
  const pixels = bytes.subarray(HEADER_BYTES + count);
  const part = (first: number, size: number): DigitSet => ({
    count: size,
    labels: labels.slice(first, first + size),
    pixels: pixels.slice(first * height * width, (first + size) * height * width),
  });
  return { height, width, classes, train: part(0, counts[0]), test: part(counts[0], counts[1]) };
}

/** The file's bytes before they are gzipped. */
export function encodeDigits({ height, width, classes, train, test }: Digits): Uint8Array {
  const count = train.count + test.count;
  const bytes = new Uint8Array(HEADER_BYTES + count * (1 + height * width));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  bytes.set([VERSION, height, width, classes], 4);
  view.setUint32(8, train.count, true);
  view.setUint32(12, test.count, true);
  let offset = HEADER_BYTES;
  for (const part of [train.labels, test.labels, train.pixels, test.pixels]) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/**
 * Images as the networks take them, ink from 0 to 1, each pixel the mean of a square of `shrink` × `shrink` of the file's.
 *
 * @throws RangeError unless `shrink` divides both sides.
 */
export function images(
  pixels: Uint8Array | Float32Array,
  { height, width }: Pick<Digits, "height" | "width">,
  shrink = 1,
): Float32Array<ArrayBuffer> {
  if (height % shrink !== 0 || width % shrink !== 0) {
    throw new RangeError(`${shrink} does not divide ${height} × ${width}`);
  }
  const [rows, cols] = [height / shrink, width / shrink];
  const count = pixels.length / (height * width);
  const out = new Float32Array(count * rows * cols);
  const scale = (pixels instanceof Uint8Array ? 1 / 255 : 1) / (shrink * shrink);
  for (let i = 0; i < count; i++) {
    for (let y = 0; y < height; y++) {
      const row = i * rows * cols + Math.floor(y / shrink) * cols;
      const source = (i * height + y) * width;
      for (let x = 0; x < width; x++) out[row + Math.floor(x / shrink)]! += scale * pixels[source + x]!;
    }
  }
  return out;
}
