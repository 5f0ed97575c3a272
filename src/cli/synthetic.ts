/** Images of made-up classes, for where there is no data set: a smooth pattern a class, shifted and with noise. */
import type { Dataset } from "../data/index.js";
import { RandomStream } from "../random/index.js";

export function syntheticImages(count: number, seed: number, side = 28, classes = 10): Dataset {
  const random = new RandomStream(seed, 77);
  const waves = Array.from({ length: classes }, () =>
    Array.from({ length: 3 }, () => [
      1 + 3 * random.uniform(),
      1 + 3 * random.uniform(),
      6.3 * random.uniform(),
    ]),
  );
  const images = new Float32Array(count * side * side);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % classes);
  for (let i = 0; i < count; i++) {
    const [dy, dx] = [random.uniform(), random.uniform()];
    for (let k = 0; k < side * side; k++) {
      const [y, x] = [Math.floor(k / side) / side + dy / 4, (k % side) / side + dx / 4];
      const value = waves[labels[i]!]!.reduce(
        (sum, [v, h, p]) => sum + Math.sin(6.3 * (v! * y + h! * x) + p!),
        0,
      );
      images[i * side * side + k] = Math.min(1, Math.max(0, 0.5 + value / 6 + 0.1 * random.normal()));
    }
  }
  return { count, features: side * side, featureShape: [side, side], classes, images, labels };
}
