/** The built program, run as people run it, on the GPU of this machine. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { APPROXIMATIONS } from "../../src/curvature/approximations/kinds.js";
import { decodeCheckpoint } from "../../src/data/index.js";
import {
  convNewtonStep,
  exactNewtonStep,
  fromRows,
  leftTilingStep,
  type Matrix,
  matrix,
  newtonStep,
  RandomStream,
  relativeError,
  toRows,
} from "../../src/reference/index.js";
import type { Certificate } from "../../src/verify/index.js";
import { syntheticFolder, temporaryFolder } from "../data/idx-files.js";
import { convolutionProblem, type ProblemShape } from "../solve/convolution-problem.js";
import { jsonLines } from "./fake-environment.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "bin/kfac.mjs");

interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(argv: readonly string[], cwd: string): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [program, ...argv], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.on("close", (code, signal) => {
      running.delete(child);
      // As a shell tells it: a signal that comes while the process is being taken down ends it by that signal.
      resolve({ code: code ?? 128 + constants.signals[signal!], stdout, stderr });
    });
  });
  return { child, finished };
}

/** After each test: whatever a failed one has left running. */
const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
  running.clear();
});

/** Resolves with the first output; a program that ends without any fails the test at once. */
async function firstOutput(child: ChildProcess, finished: Promise<Finished>): Promise<void> {
  const ended = finished.then(({ code, stderr }) => {
    throw new Error(`ended early with code ${code}: ${stderr}`);
  });
  await Promise.race([new Promise((resolve) => child.stdout?.once("data", resolve)), ended]);
}

const kfac = (argv: readonly string[], cwd = temporaryFolder()) => start(argv, cwd).finished;

/** Dawn's own remarks are not ours to answer for. */
const ownLines = (stderr: string) =>
  stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Warning: max"));

const data = syntheticFolder({ train: 300, test: 60, side: 6, classes: 5 });
const trainFor = (epochs: number, ...more: string[]) => [
  ...["train", "--data", data, "--layers", "16-12", "--batch", "64", "--epochs", String(epochs)],
  ...more,
];
const train = (...more: string[]) => trainFor(2, ...more);
const steps = (text: string) =>
  jsonLines(text)
    .filter((record) => "step" in record)
    .map((record) => ({ ...record, seconds: 0 }));

beforeAll(() => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/setup.mjs"), "--quiet"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}, 120_000);

describe("kfac train", () => {
  it.each(["kfac", "sgd", "adam"])("trains with %s and resumes bitwise", async (optimizer) => {
    const whole = join(temporaryFolder(), "whole.kfac");
    const full = await kfac(train("--optimizer", optimizer, "--json", "--save", whole));
    expect(full.code).toBe(0);
    const records = jsonLines(full.stdout);
    expect(records).toHaveLength(12);
    expect(records[0]).toMatchObject({ step: 1, epoch: 1, status: "ok" });
    expect(records[0]).toMatchObject(
      optimizer === "kfac"
        ? { lambda: expect.any(Number), momentum: expect.any(Number), verdict: "taken" }
        : { lambda: null, momentum: null, verdict: null },
    );
    const epochs = records.filter((record) => "trainLoss" in record);
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(Number(epochs[1]?.trainLoss)).toBeLessThan(Number(epochs[0]?.trainLoss));

    const part = join(temporaryFolder(), "part.kfac");
    const first = await kfac(train("--optimizer", optimizer, "--json", "--save", part, "--steps", "3"));
    const second = await kfac(["train", "--data", data, "--resume", part, "--save", part, "--json"]);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect([...steps(first.stdout), ...steps(second.stdout)]).toEqual(steps(full.stdout));
    const [a, b] = [whole, part].map((file) => decodeCheckpoint(readFileSync(file)));
    expect(b?.tensors).toEqual(a?.tensors);
  });

  it("takes a batch in micro-batches as it takes it whole, and resumes with them", async () => {
    const base = ["--optimizer", "sgd", "--json"];
    const whole = await kfac(train(...base));
    const file = join(temporaryFolder(), "parts.kfac");
    const first = await kfac(train(...base, "--micro-batch", "25", "--save", file, "--steps", "4"));
    const second = await kfac(["train", "--data", data, "--resume", file, "--json"]);
    expect([whole, first, second].map(({ code }) => code)).toEqual([0, 0, 0]);
    const lossesOf = (text: string) =>
      jsonLines(text).flatMap((record) => ("step" in record ? [Number(record.loss)] : []));
    const expected = lossesOf(whole.stdout);
    const losses = [...lossesOf(first.stdout), ...lossesOf(second.stdout)];
    expect(losses).toHaveLength(expected.length);
    for (const [k, loss] of losses.entries()) expect(loss / expected[k]!).toBeCloseTo(1, 5);
    expect(decodeCheckpoint(readFileSync(file)).meta.microBatch).toBe(25);
    const none = await kfac(train("--micro-batch", "0"));
    expect([none.code, ownLines(none.stderr).join()]).toEqual([2, expect.stringContaining("--micro-batch")]);
  });

  it("trains a convolutional network and resumes bitwise", async () => {
    const network = ["--layers", "conv4x3p1-pool2-conv6x3-5"];
    const base = ["train", "--data", data, ...network, "--batch", "64", "--epochs", "3", "--json"];
    const whole = join(temporaryFolder(), "whole.kfac");
    const full = await kfac([...base, "--save", whole]);
    expect(full.code).toBe(0);
    const epochs = jsonLines(full.stdout).filter((record) => "trainLoss" in record);
    expect(Number(epochs[2]?.trainLoss)).toBeLessThan(Number(epochs[0]?.trainLoss));
    const part = join(temporaryFolder(), "part.kfac");
    const first = await kfac([...base, "--save", part, "--steps", "4"]);
    const argv = ["train", "--data", data, "--resume", part, "--save", part];
    const second = await kfac([...argv, "--json", "--report", `${part}.html`]);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect([...steps(first.stdout), ...steps(second.stdout)]).toEqual(steps(full.stdout));
    const [a, b] = [whole, part].map((file) => decodeCheckpoint(readFileSync(file)));
    expect(b?.tensors).toEqual(a?.tensors);
    expect(b?.meta.layers).toEqual(["1x6x6", "conv4x3p1", "pool2", "conv6x3", 5]);
    expect(readFileSync(`${part}.html`, "utf8")).toContain("1x6x6-conv4x3p1-pool2-conv6x3-5");
    const other = await kfac([...argv, "--layers", "conv4x3p1-pool2-conv8x3-5"]);
    expect(ownLines(other.stderr)).toEqual([
      "Checkpoint layers: is 1x6x6-conv4x3p1-pool2-conv6x3-5 in the file and 1x6x6-conv4x3p1-pool2-conv8x3-5 here; resume with what the run was started with.",
    ]);
  }, 120_000);

  it.each(["squared", "sigmoid"])("trains with the loss %s", async (loss) => {
    const { code, stdout } = await kfac(trainFor(6, "--loss", loss, "--activation", "tanh", "--json"));
    expect(code).toBe(0);
    const epochs = jsonLines(stdout).filter((record) => "trainLoss" in record);
    expect(Number(epochs[5]?.testAccuracy)).toBeGreaterThan(0.5);
  });

  it("ends with a table and a report for people", async () => {
    const cwd = temporaryFolder();
    const { code, stdout, stderr } = await kfac(train("--report", "report.html"), cwd);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^epoch +training loss/);
    expect(stderr).toContain(join(cwd, "report.html"));
    expect(readFileSync(join(cwd, "report.html"), "utf8")).toContain(`<path class="line`);
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("saves and leaves at %s", async (signal, exitCode) => {
    const cwd = temporaryFolder();
    const { child, finished } = start(trainFor(100_000, "--json"), cwd);
    await firstOutput(child, finished);
    child.kill(signal);
    const { code, stdout, stderr } = await finished;
    expect(code).toBe(exitCode);
    const file = join(cwd, "kfac-checkpoint.kfac");
    expect(stderr).toContain(file);
    expect(readdirSync(cwd)).toEqual(["kfac-checkpoint.kfac"]);
    expect(decodeCheckpoint(readFileSync(file)).meta.step).toBe(steps(stdout).length);
    const more = String(steps(stdout).length + 2);
    const rest = await kfac(["train", "--data", data, "--resume", file, "--steps", more, "--json"]);
    expect(steps(rest.stdout)).toHaveLength(2);
  });

  it("leaves at once at the second signal", async () => {
    const cwd = temporaryFolder();
    const { child, finished } = start(trainFor(100_000, "--json"), cwd);
    await firstOutput(child, finished);
    child.kill("SIGINT");
    const timer = setInterval(() => child.kill("SIGINT"), 300);
    expect((await finished).code).toBe(130);
    clearInterval(timer);
  });

  it("ends quietly when the reader of stdout goes away", async () => {
    const { child, finished } = start(trainFor(100_000, "--json"), temporaryFolder());
    await firstOutput(child, finished);
    child.stdout?.destroy();
    const { code, stderr } = await finished;
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|Error/);
  });

  it("diverges with one sentence and leaves the checkpoint alone", async () => {
    const file = join(temporaryFolder(), "run.kfac");
    await kfac(train("--optimizer", "sgd", "--save", file));
    const before = readFileSync(file);
    const { code, stderr } = await kfac([
      "train",
      "--data",
      data,
      "--resume",
      file,
      "--save",
      file,
      "--learning-rate",
      "1e30",
      "--epochs",
      "50",
    ]);
    expect(code).toBe(1);
    expect(ownLines(stderr).at(-1)).toMatch(/^Training stopped: .* not finite/);
    expect(readFileSync(file)).toEqual(before);
  });
});

describe("kfac newton", () => {
  const random = new RandomStream(11);
  const normal = (rows: number, cols: number) =>
    matrix(
      rows,
      cols,
      Float64Array.from({ length: rows * cols }, () => random.normal()),
    );
  const example = (inputs: number, out: number) => ({
    A: normal(inputs, inputs + 4),
    B: normal(out, out + 2),
    target: normal(out + 2, inputs + 4),
  });
  const rows = (value: Record<string, Matrix>) =>
    Object.fromEntries(Object.entries(value).map(([name, m]) => [name, toRows(m)]));

  const solve = async (value: unknown, ...more: string[]) => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, "problem.json"), JSON.stringify(value));
    const { code, stdout } = await kfac(["newton", "problem.json", "--json", ...more], cwd);
    expect(code).toBe(0);
    return JSON.parse(stdout) as { [key: string]: number[][] };
  };

  it.each([
    ["one linear network", 5, 3, 1, 0],
    ["rectangles over a tile's edge, damped", 33, 18, 1, 0.5],
    ["three examples", 7, 4, 3, 0],
  ])("K-FAC agrees with the f64 reference: %s", async (_, inputs, out, count, damping) => {
    const W = normal(out, inputs);
    const examples = Array.from({ length: count }, () => example(inputs, out));
    const input =
      count === 1
        ? { ...rows(examples[0]!), W: toRows(W), damping }
        : { W: toRows(W), examples: examples.map(rows), damping, method: "kfac" };
    const result = await solve(input);
    const wanted = newtonStep({ examples, W, damping, scale: "note" });
    for (const key of ["gradient", "AAt", "BBt", "AAtInverse", "BBtInverse", "step", "W"] as const) {
      expect(relativeError(fromRows(result[key]!), wanted[key])).toBeLessThan(2e-6);
    }
    expect(result).toMatchObject({ status: "ok", method: "kfac", ranks: [inputs, out] });
    expect(result.lossAfter).toBeCloseTo(newtonStep({ examples, W: wanted.W }).loss, 6);
  });

  it.each([
    ["a sum of examples", 9, 6, 12, 0, "ok"],
    ["damped", 9, 6, 5, 0.5, "ok"],
    ["too few examples", 9, 6, 2, 0, "minimum norm"],
  ])("the exact step agrees with the f64 reference: %s", async (_, inputs, out, count, damping, status) => {
    const W = normal(out, inputs);
    const examples = Array.from({ length: count }, () => ({
      A: normal(inputs, 3),
      B: normal(out, 2),
      target: normal(2, 3),
    }));
    const result = await solve({ W: toRows(W), examples: examples.map(rows), damping });
    const wanted = exactNewtonStep({ examples, W, damping });
    expect(relativeError(fromRows(result.step!), wanted.step)).toBeLessThan(1e-7);
    expect(result).toMatchObject({ method: "exact", rank: wanted.rank });
    expect(result.status).toContain(status);
    expect(result.lossAfter).toBeCloseTo(exactNewtonStep({ examples, W: wanted.W }).loss, 9);
  });

  it("left tiling agrees with the f64 reference", async () => {
    const [K, U] = [normal(6, 3), normal(3, 5)];
    const one = { A: normal(5, 9), B: normal(6, 4), target: normal(4, 9) };
    const result = await solve({ tiling: toRows(K), U: toRows(U), ...rows(one) });
    const wanted = leftTilingStep({ K, U, ...one });
    expect(relativeError(fromRows(result.step!), wanted.step)).toBeLessThan(1e-6);
    expect(relativeError(fromRows(result.U!), wanted.W)).toBeLessThan(1e-6);
  });

  it.each<[string, Partial<ProblemShape>, string]>([
    ["with a head", {}, "ok"],
    ["strided, padded and dilated", { stride: [2, 1], padding: [1, 2], dilation: 2, outputs: 9 }, "ok"],
    ["without head and bias, damped", { outputs: 0, bias: false, damping: 0.7 }, "ok"],
    ["one input", { N: 1 }, "minimum norm"],
  ])("a convolution's step is the least-squares minimiser: %s", async (_, change, status) => {
    const { file, options } = convolutionProblem({
      ...{ N: 20, C: 2, size: [7, 6], O: 3, kernel: [3, 2], outputs: 5, seed: 8 },
      ...change,
    });
    const result = await solve({ convolution: file });
    const wanted = convNewtonStep(options);
    expect(relativeError(fromRows(result.step!), wanted.step)).toBeLessThan(1e-6);
    expect(relativeError(fromRows(result.gradient!), wanted.gradient)).toBeLessThan(1e-5);
    expect(result.status).toContain(status);
    expect(result.lossAfter).toBeCloseTo(convNewtonStep({ ...options, W: wanted.W }).loss, 9);
  });

  it.each(["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const)(
    "a convolution's step by %s agrees with the f64 reference",
    async (method) => {
      const { file, options } = convolutionProblem({
        ...{ N: 9, C: 2, size: [6, 5], O: 3, kernel: [3, 2], outputs: 4, seed: 5, damping: 1 },
      });
      const result = await solve({ convolution: file }, "--method", method);
      expect(String(result.adapter)).not.toContain("f64");
      expect(relativeError(fromRows(result.step!), convNewtonStep({ ...options, method }).step)).toBeLessThan(
        1e-5,
      );
    },
  );

  it("takes the shortest step where a factor is singular, and fails on bad input", async () => {
    const singular = await solve({ A: [[1], [1]], B: [[1]], target: [[1]], W: [[1, 2]] });
    expect(singular).toMatchObject({ status: "minimum norm: AA' has rank 1 of 2", ranks: [1, 1] });
    expect(relativeError(fromRows(singular.W!), fromRows([[0, 1]]))).toBeLessThan(1e-6);
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, "bad.json"), "{");
    const bad = await kfac(["newton", "bad.json"], cwd);
    expect([bad.code, bad.stdout]).toEqual([1, ""]);
    expect(ownLines(bad.stderr)).toHaveLength(1);
  });
});

describe("kfac compare", () => {
  it.each(["conv4x3-pool2-5", "8"])(
    "measures every approximation of each layer: %s",
    async (layers) => {
      const argv = ["compare", "--data", data, "--layers", layers, "--steps", "3", "--batch", "32", "--json"];
      const { code, stdout } = await kfac(argv);
      expect(code).toBe(0);
      const found = JSON.parse(stdout) as { layers: { approximations: Record<string, unknown>[] }[] };
      expect(found.layers).toHaveLength(2);
      for (const { approximations } of found.layers) {
        const names = approximations.map(({ name }) => name);
        expect(names).toEqual(["none", ...APPROXIMATIONS]);
        const by = Object.fromEntries(approximations.map((one) => [one.name, one]));
        expect(Number(by.ekfac?.error)).toBeLessThanOrEqual(Number(by.expand?.error) * 1.001);
        expect(Number(by.kfoc?.error)).toBeLessThanOrEqual(Number(by.expand?.error) * 1.001);
        for (const one of approximations) {
          const { shareAtBestStep, cg, status } = one as {
            shareAtBestStep: number;
            cg: { status: string };
            status: number;
          };
          expect([cg.status, status]).toEqual(["converged", 0]);
          expect(shareAtBestStep).toBeGreaterThan(0);
          expect(shareAtBestStep).toBeLessThan(1.0001);
        }
      }
    },
    120_000,
  );
});

describe("kfac verify", () => {
  it("holds all of its claims, and says so as JSON", async () => {
    const { code, stdout, stderr } = await kfac(["verify", "--json"]);
    const { adapter, pass, certificates } = JSON.parse(stdout) as {
      adapter: string;
      pass: boolean;
      certificates: Certificate[];
    };
    expect(certificates.filter((one) => !one.pass)).toEqual([]);
    expect([code, pass, typeof adapter]).toEqual([0, true, "string"]);
    expect(ownLines(stderr).length).toBeGreaterThan(15);
    const claims = new Set(certificates.map(({ claim }) => claim)).size;
    expect(claims).toBeGreaterThan(30);
    for (const { held, error, bound } of certificates) {
      if (held === "atMost") expect(error).toBeLessThanOrEqual(bound);
      else expect(error).toBeGreaterThanOrEqual(bound);
    }
  }, 180_000);
});

describe("kfac", () => {
  it("has help, a version, and exit code 2 for a wrong command line", async () => {
    expect((await kfac(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await kfac(["train", "--help"])).stdout).toContain("Usage: kfac train");
    const wrong = await kfac(["train", "--bogus"]);
    expect([wrong.code, wrong.stdout]).toEqual([2, ""]);
    expect(existsSync(join(root, "dist/cli.js"))).toBe(true);
  });
});
