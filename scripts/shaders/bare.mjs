import { readFileSync } from "node:fs";

/**
 * WGSL as it ships, in the package and in the demo page: without comments and indentation. Lines stay where they are, so that a
 * compiler's message still names a line of the file under shaders/. A plugin of vite.
 */
export const bareShaders = {
  name: "bare-shaders",
  enforce: /** @type {const} */ ("pre"),
  /** @param {string} id @returns {string | undefined} */
  load(id) {
    const [file, query] = id.split("?");
    if (query !== "raw" || !file?.endsWith(".wgsl")) return undefined;
    const lines = readFileSync(file, "utf8").split("\n");
    const bare = lines.map((line) => line.replace(/\/\/.*$/, "").trim());
    return `export default ${JSON.stringify(bare.join("\n"))};`;
  },
};
