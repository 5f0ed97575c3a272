const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** The largest f16. */
export const LARGEST_HALF = 65504;

/** The bits of the f16 that is nearest to an f32, of two that are as near the even one. */
export function halfOf(value: number): number {
  word[0] = value;
  return halfOfBits(bits[0]!);
}

/** The same of the bits of the f32, which many numbers in a row are read as. */
export function halfOfBits(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  // Above the largest half by half a step it rounds to infinity.
  if (magnitude >= 0x477ff000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x38800000) {
    // A normal one: the exponent in steps of its own, the mantissa rounded to ten bits, which may carry over.
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1);
    return sign | (rounded >>> 13);
  }
  // Whole multiples of 2⁻²⁴; adding ½ makes f32 round to them.
  bits[0] = magnitude;
  word[0] = word[0]! + 0.5;
  return sign | (bits[0]! - 0x3f000000);
}
