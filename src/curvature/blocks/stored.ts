import { shown } from "../../arguments.js";
import { ArgumentError } from "../../errors.js";

/**
 * A number that the GPU keeps and the host does not know: element `index` of a storage buffer, four bytes each, f32 or u32 as
 * its reader says. It is read when the commands run that were recorded with it.
 */
export interface StoredNumber {
  readonly buffer: GPUBuffer;
  readonly index: number;
}

/** @throws ArgumentError unless the buffer is storage and has that element, and so many from it on */
export function requireStored(
  operation: string,
  operand: string,
  number: StoredNumber,
  count = 1,
): StoredNumber {
  const { buffer, index }: Partial<StoredNumber> = number ?? {};
  const fail = (what: string): never => {
    throw new ArgumentError(operation, operand, what);
  };
  if (!(typeof buffer === "object" && buffer !== null && buffer.usage & GPUBufferUsage.STORAGE)) {
    fail("must have a buffer that is made for storage");
  }
  const length = Math.floor(buffer.size / 4);
  if (!(Number.isInteger(index) && index >= 0 && index + count <= length)) {
    const room = count === 1 ? "" : `, with room for ${count}`;
    fail(`must have a whole index below ${length}, the numbers of its buffer${room}, got ${shown(index)}`);
  }
  return number;
}

/** Fields of a problem that tell kernels where a stored number is, if there is one. */
export function wordOf(number: StoredNumber | undefined): { word: number; stored: number } {
  return { word: number?.index ?? 0, stored: number ? 1 : 0 };
}
