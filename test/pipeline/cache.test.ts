/** The cache that forgets what was used longest ago. */
import { LruCache } from "../../src/pipeline/cache.js";
import { assertEqual, kernelTest } from "../harness/kernel-test.js";

kernelTest("cache: the least recently used goes first", () => {
  const evicted: number[] = [];
  const cache = new LruCache<number>(3, (value) => evicted.push(value));
  for (const [i, key] of ["a", "b", "c"].entries()) cache.set(key, i);
  assertEqual(cache.get("a"), 0, "a");
  cache.set("d", 3);
  assertEqual(evicted.join(), "1", "b was used longest ago");
  assertEqual(cache.get("b"), undefined, "b");
  cache.set("e", 4);
  assertEqual(evicted.join(), "1,2", "then c");
  assertEqual(cache.get("a"), 0, "a, used in between, is still there");
  assertEqual(cache.size, 3, "size");
});

kernelTest("cache: clearing evicts everything", () => {
  const evicted: number[] = [];
  const cache = new LruCache<number>(8, (value) => evicted.push(value));
  for (const i of [5, 6, 7]) cache.set(`${i}`, i);
  cache.clear();
  assertEqual(evicted.join(), "5,6,7", "evicted");
  assertEqual(cache.size, 0, "size");
  assertEqual(cache.get("5"), undefined, "nothing is left");
});
