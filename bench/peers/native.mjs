// Native libraries in a Python process of their own (../torch_bench.py), paired like all others. The process times itself, by
// CUDA events or a clock, so that pipes are not counted.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { way } from "./way.mjs";

/**
 * @typedef {import("./way.mjs").Kind} Kind
 * @typedef {import("./way.mjs").InputsOf} InputsOf
 * @typedef {{ data: Float32Array, shape: number[] }} Part an array of the inputs
 *
 * @typedef {{ command: "upload", names: readonly string[], file: string, shapes: number[][] }
 *   | { command: "run", kind: Kind, formulation: string, chosen: readonly number[], first: number, repetitions: number }
 *   | { command: "read", kind: Kind, formulation: string, set: number, file: string }
 *   | { command: "drop", chosen: readonly number[] }} Request sets are known by their numbers
 * @typedef {{
 *   ready: { version: string, formulations: Partial<Record<Kind, string[]>> },
 *   upload: { set: number },
 *   run: { ms: number },
 *   read: { shapes: number[][] },
 *   drop: {},
 * }} Answers what Python says when it has started, and to each command
 */

const script = fileURLToPath(new URL("../torch_bench.py", import.meta.url));

/**
 * Names of the arrays of each operation's inputs; `list` stands for any number of symmetric matrices.
 * @type {Readonly<Record<Kind, readonly string[]>>}
 */
const ARRAYS = {
  gram: ["A"],
  matmul: ["A", "B"],
  sandwich: ["P", "G", "Q"],
  invert: ["list"],
  eigh: ["list"],
};

/** @type {{ readonly [K in Kind]: (inputs: InputsOf[K]) => Part[] }} */
const PARTS = {
  gram: ({ A, d, n }) => [{ data: A, shape: [d, n] }],
  matmul: ({ A, B, m, k, n }) => [
    { data: A, shape: [m, k] },
    { data: B, shape: [k, n] },
  ],
  sandwich: ({ P, G, Q, m, n }) => [
    { data: P, shape: [m, m] },
    { data: G, shape: [m, n] },
    { data: Q, shape: [n, n] },
  ],
  invert: symmetric,
  eigh: symmetric,
};

/** One stack where all have one size, as batched routines want it. @param {InputsOf["invert"]} inputs @returns {Part[]} */
function symmetric({ list }) {
  const { n } = list[0];
  if (list.length === 1 || list.some((one) => one.n !== n))
    return list.map(({ S, n: size }) => ({ data: S, shape: [size, size] }));
  const data = new Float32Array(list.length * n * n);
  list.forEach(({ S }, k) => void data.set(S, k * n * n));
  return [{ data, shape: [list.length, n, n] }];
}

/**
 * @param {"torch" | "torch-tf32" | "scipy"} id @param {string} name
 */
function library(id, name) {
  return {
    /** @returns {Promise<import("./index.mjs").Peer>} */
    async load() {
      const python = new Python(id);
      const { version, formulations } = await python.ready;
      return {
        id,
        name,
        version,
        // Ten bits of a product's operands.
        looseness: id === "torch-tf32" ? 1000 : 1,
        variant: id === "torch-tf32",
        formulations: (kind) => (formulations[kind] ?? []).map((way) => formulation(python, kind, way)),
        enter() {},
        finish() {},
        dispose: () => python.dispose(),
      };
    },
  };
}

export const torch = library("torch", "PyTorch");
export const torchTf32 = library("torch-tf32", "PyTorch, TF32");
export const scipy = library("scipy", "SciPy");

/**
 * @template {Kind} K
 * @param {Python} python @param {K} kind @param {string} name
 */
function formulation(python, kind, name) {
  const common = { kind, formulation: name };
  const care = {
    async read(/** @type {{ set: number }} */ { set }) {
      const file = python.path("result");
      const { shapes } = await python.ask({ command: "read", ...common, set, file });
      return unstacked(new Float32Array(new Uint8Array(readFileSync(file)).buffer), shapes, kind);
    },
    free() {},
    drop: (/** @type {number} */ set) => void python.ask({ command: "drop", chosen: [set] }).catch(() => {}),
  };
  return way(kind, care, {
    name,
    async upload(inputs) {
      const parts = PARTS[kind](inputs);
      const file = python.write(parts.map(({ data }) => data));
      const shapes = parts.map(({ shape }) => shape);
      return (await python.ask({ command: "upload", names: ARRAYS[kind], file, shapes })).set;
    },
    async timed(sets, first, repetitions) {
      return (await python.ask({ command: "run", ...common, chosen: sets, first, repetitions })).ms;
    },
    call: (set) => ({ set }),
  });
}

/**
 * The matrices one by one: a stack is taken apart, and stacks of eigenvalues and vectors are paired.
 * @param {Float32Array} numbers @param {number[][]} shapes @param {Kind} kind
 */
function unstacked(numbers, shapes, kind) {
  let at = 0;
  const parts = shapes.map((shape) => {
    const size = shape.reduce((product, length) => product * length, 1);
    at += size;
    return { shape, data: numbers.subarray(at - size, at) };
  });
  const rank = kind === "eigh" ? 1 : 2;
  return parts[0].shape.length <= rank
    ? parts.map(({ data }) => data)
    : Array.from({ length: parts[0].shape[0] }, (_, k) =>
        parts.map(({ shape: [count], data }) =>
          data.subarray((k * data.length) / count, ((k + 1) * data.length) / count),
        ),
      ).flat();
}

class Python {
  /** @type {{ resolve: (message: unknown) => void, reject: (error: Error) => void }[]} */
  #waiting = [];
  #folder = mkdtempSync(join(tmpdir(), "kfac-bench-"));
  #lastWords = "";

  /** @param {string} id */
  constructor(id) {
    /** @type {Promise<Answers["ready"]>} */
    this.ready = this.#answer();
    const child = spawn(process.env.PYTHON || "python3", [script, "--serve", id], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child = child;
    child.stderr.setEncoding("utf8").on("data", (text) => {
      this.#lastWords = `${this.#lastWords}${text}`.slice(-2000);
    });
    // What was written to a process that has ended is reported when it ends.
    child.stdin.on("error", () => {});
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { resolve, reject } = this.#waiting.shift() ?? { resolve() {}, reject() {} };
      const message = JSON.parse(line);
      if (message.error) reject(new Error(message.error));
      else resolve(message);
    });
    const end = (/** @type {string} */ reason) => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(reason));
      this.dispose();
    };
    child.on("error", (error) => end(`python3 does not start: ${error.message}`));
    child.on("close", (code) =>
      end(this.#lastWords.trim().split("\n").at(-1) || `python3 ended with ${code}`),
    );
  }

  /** The next line that it says. @template T @returns {Promise<T>} */
  #answer() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: (message) => resolve(/** @type {T} */ (message)), reject });
    });
  }

  /**
   * @template {Request} R
   * @param {R} request
   * @returns {Promise<Answers[R["command"]]>}
   */
  async ask(request) {
    if (this.child.exitCode !== null) throw new Error("python3 has ended");
    const answer = this.#answer();
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    return await /** @type {Promise<Answers[R["command"]]>} */ (answer);
  }

  /** @param {string} name */
  path(name) {
    return join(this.#folder, name);
  }

  /** @param {Float32Array[]} arrays */
  write(arrays) {
    const file = this.path("inputs");
    writeFileSync(
      file,
      Buffer.concat(
        arrays.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
      ),
    );
    return file;
  }

  dispose() {
    this.child.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
