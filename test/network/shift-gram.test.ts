/** The Gram matrix of a convolution's patches by correlations of image lines, held against the patches themselves in f64. */

import { convGeometry } from "../../src/layers/conv/geometry.js";
import { ShiftGram } from "../../src/layers/conv/shift-gram.js";
import { inLockstep, padded } from "../../src/linalg/index.js";
import { conv2d } from "../../src/network/index.js";
import { assert, assertEqual, kernelTest } from "../harness/kernel-test.js";
import { managerOf, run } from "../linalg/helpers.js";

interface Case {
  channels: number;
  height: number;
  width: number;
  kernel: [number, number];
  padding: [number, number];
  bias?: boolean;
  count?: number;
  /** Examples taken together. */
  most?: number;
}

const CASES: Case[] = [
  { channels: 1, height: 6, width: 7, kernel: [3, 3], padding: [1, 1] },
  { channels: 3, height: 5, width: 5, kernel: [3, 3], padding: [0, 0] },
  { channels: 4, height: 7, width: 5, kernel: [1, 1], padding: [0, 0] },
  { channels: 5, height: 6, width: 9, kernel: [5, 3], padding: [2, 1], count: 3 },
  { channels: 2, height: 9, width: 6, kernel: [2, 4], padding: [1, 0] },
  { channels: 8, height: 14, width: 14, kernel: [5, 5], padding: [2, 2], count: 4, most: 3 },
  { channels: 33, height: 4, width: 4, kernel: [3, 3], padding: [1, 1], most: 1 },
  // Taps that see nothing but padding, and images narrower than their border.
  { channels: 2, height: 1, width: 1, kernel: [5, 5], padding: [2, 2] },
  { channels: 2, height: 2, width: 1, kernel: [3, 3], padding: [2, 3] },
  { channels: 3, height: 3, width: 2, kernel: [3, 2], padding: [0, 0], bias: false },
  { channels: 1, height: 28, width: 28, kernel: [5, 5], padding: [2, 2], bias: false, count: 3, most: 2 },
];

for (const item of CASES) {
  const { channels, height, width, kernel, padding, bias = true, count = 2, most = count } = item;
  const title = `${channels} × ${height} × ${width}, kernel ${kernel.join(" × ")}, padding ${padding.join(", ")}`;
  kernelTest(
    `shift gram: ${title}${bias ? "" : ", no bias"}${most < count ? ", in parts" : ""}`,
    async (t) => {
      const input = { channels, height, width };
      const geometry = convGeometry("conv", conv2d(channels, 1, kernel, { padding, bias }), input);
      assert(ShiftGram.fits(geometry), "the form exists");
      const pixel = padded(channels);
      const values = t.random(7).normals(count * height * width * pixel);
      const size = geometry.features + (bias ? 1 : 0);
      const S = t.poisoned(size * padded(size));
      run(managerOf(t), (recorder) => {
        const rows = count * height * width;
        const source = { buffer: t.upload(values), offset: 0, rows, cols: channels, stride: pixel };
        const into = { buffer: S, offset: 0, rows: size, cols: size, stride: padded(size) };
        inLockstep(recorder, [new ShiftGram(geometry).steps(recorder, source, count, into, most)]);
      });
      const found = await t.download(S);
      const expected = patchGram(values, pixel, item, count);
      let largest = 0;
      for (let i = 0; i < size; i++) largest = Math.max(largest, expected[i * size + i]!);
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          const error = Math.abs(found[i * padded(size) + j]! - expected[i * size + j]!);
          assert(
            error <= 2e-6 * largest,
            `S[${i}, ${j}] is off by ${error} with a diagonal up to ${largest}`,
          );
          assertEqual(found[i * padded(size) + j], found[j * padded(size) + i], `S[${i}, ${j}] mirrored`);
        }
      }
    },
  );
}

kernelTest("shift gram: only with stride 1, no dilation and one group", async () => {
  const fits = (options: object) =>
    ShiftGram.fits(convGeometry("conv", conv2d(2, 2, 3, options), { channels: 2, height: 8, width: 8 }));
  assert(fits({}), "plain");
  assert(!fits({ stride: [1, 2] }), "stride");
  assert(!fits({ dilation: 2 }), "dilation");
  assert(!fits({ groups: 2 }), "groups");
});

/** Σ aa' in f64, patch by patch. */
function patchGram(values: Float32Array, pixel: number, item: Case, count: number): Float64Array {
  const { channels, height, width, kernel, padding, bias = true } = item;
  const size = channels * kernel[0] * kernel[1] + (bias ? 1 : 0);
  const gram = new Float64Array(size * size);
  const patch = new Float64Array(size).fill(1);
  for (let i = 0; i < count; i++) {
    for (let y = -padding[0]; y <= height + padding[0] - kernel[0]; y++) {
      for (let x = -padding[1]; x <= width + padding[1] - kernel[1]; x++) {
        for (let c = 0, at = 0; c < channels; c++) {
          for (let ky = 0; ky < kernel[0]; ky++) {
            for (let kx = 0; kx < kernel[1]; kx++, at++) {
              const inside = y + ky >= 0 && y + ky < height && x + kx >= 0 && x + kx < width;
              patch[at] = inside ? values[((i * height + y + ky) * width + x + kx) * pixel + c]! : 0;
            }
          }
        }
        for (let a = 0; a < size; a++) {
          for (let b = 0; b < size; b++) gram[a * size + b]! += patch[a]! * patch[b]!;
        }
      }
    }
  }
  return gram;
}
