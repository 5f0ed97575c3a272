// The rooms of src/, from the lowest to the highest. A new room is one entry here: the check of imports, the test projects,
// the kernel suite of the page and of Deno, and the test of kernel layouts all read this list.

/**
 * @typedef {object} Room
 * @property {string} name its sources are src/NAME/ or src/NAME.ts, its tests test/NAME/; "top" is what else lies in src/
 * @property {readonly string[]} knows rooms before it that it may import, and with each of them all that that one may
 * @property {boolean} [kernels] whether it defines kernels, and so knows shaders/
 * @property {"kernel" | "cpu"} [tests] where its tests run: on every WebGPU there is, or by plain vitest; it has none
 *   without
 */

/** @type {readonly Room[]} */
export const ROOMS = [
  { name: "errors", knows: [] },
  { name: "arguments", knows: ["errors"], tests: "cpu" },
  { name: "random", knows: ["arguments"], tests: "cpu" },
  { name: "reference", knows: ["random"], tests: "cpu" },
  { name: "timing", knows: [], tests: "cpu" },
  { name: "charts", knows: [], tests: "cpu" },
  { name: "device", knows: ["arguments"], tests: "cpu" },
  { name: "pipeline", knows: ["device"], tests: "kernel" },
  { name: "linalg", knows: ["random", "pipeline"], kernels: true, tests: "kernel" },
  { name: "host", knows: ["linalg"], tests: "kernel" },
  { name: "model", knows: ["linalg"], tests: "kernel" },
  { name: "resident", knows: ["model"], kernels: true, tests: "kernel" },
  { name: "memory", knows: ["model"], tests: "kernel" },
  { name: "curvature", knows: ["host", "model"], kernels: true, tests: "kernel" },
  // What a kind of layer is in f64 stands beside it.
  { name: "layers", knows: ["reference", "memory", "curvature"], kernels: true, tests: "kernel" },
  // Any `Model` will do, whatever it is made of.
  { name: "optimizers", knows: ["curvature"], kernels: true, tests: "kernel" },
  { name: "network", knows: ["layers", "resident"], kernels: true, tests: "kernel" },
  { name: "data", knows: ["optimizers", "network"], tests: "cpu" },
  { name: "training", knows: ["data"], tests: "kernel" },
  { name: "solve", knows: ["data"], tests: "kernel" },
  { name: "plan", knows: ["optimizers", "network"], tests: "kernel" },
  { name: "engine", knows: ["training", "plan"] },
  { name: "verify", knows: ["engine", "solve"] },
  { name: "top", knows: ["verify"] },
  { name: "cli", knows: ["top", "timing", "charts"], tests: "cpu" },
];

/** Folders of tests that belong to no room. @type {Readonly<Record<"kernel" | "cpu", readonly string[]>>} */
const OTHER_TESTS = { kernel: ["harness"], cpu: ["bench", "demo/unit", "scripts"] };

/**
 * The room of a file, given relative to the project: `src/linalg/products/gram.ts` is linalg. What is not in src/ is told
 * by its first folder.
 * @param {string} file
 */
export function roomOf(file) {
  const [folder = "", name = "", ...rest] = file.split("/");
  if (folder !== "src" || rest.length > 0) return folder === "src" ? name : folder;
  const own = name.replace(/\.ts$/, "");
  return ROOMS.some((room) => room.name === own) ? own : "top";
}

/**
 * All that a room may import besides itself.
 * @param {string} name
 * @returns {ReadonlySet<string> | undefined} undefined when there is no such room
 */
export function knownTo(name) {
  const room = ROOMS.find((one) => one.name === name);
  if (!room) return undefined;
  const known = room.knows.flatMap((other) => [other, ...(knownTo(other) ?? [])]);
  // A room may import another that dispatches without seeing its shaders.
  const sources = known.filter((other) => other !== "shaders");
  return new Set(room.kernels ? [...sources, "shaders"] : sources);
}

/** Patterns of the test files of one kind, relative to the project. @param {"kernel" | "cpu"} kind */
export function testFiles(kind) {
  const rooms = ROOMS.filter(({ tests }) => tests === kind).map(({ name }) => name);
  return [...OTHER_TESTS[kind], ...rooms].map((folder) => `test/${folder}/**/*.test.ts`);
}

/** Patterns of the source files that may define kernels, relative to the project. */
export function kernelSources() {
  return ROOMS.filter(({ kernels }) => kernels).map(({ name }) => `src/${name}/**/*.ts`);
}
