import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/data/index.js";
import { syntheticFolder, temporaryFolder } from "../data/idx-files.js";
import { jsonLines, run } from "./fake-environment.js";

const data = syntheticFolder();
const train = (...more: string[]) => trainOn(data, 2, ...more);
const trainOn = (folder: string, epochs: number, ...more: string[]) => [
  "train",
  "--data",
  folder,
  "--layers",
  "8",
  "--batch",
  "16",
  "--epochs",
  String(epochs),
  ...more,
];
/** Everything but what the clock says. */
const withoutSeconds = (text: string) => jsonLines(text).map((record) => ({ ...record, seconds: 0 }));

describe("kfac train --json", () => {
  it("prints one record a step and one an epoch, and nothing else", async () => {
    const hooks = { open: 0 };
    const { code, stdout, stderr } = await run(train("--json"), { hooks });
    expect(code).toBe(0);
    expect(hooks.open).toBe(0);
    const records = jsonLines(stdout);
    expect(records.map((record) => ("step" in record ? `s${record.step}` : `e${record.epoch}`))).toEqual([
      "s1",
      "s2",
      "s3",
      "s4",
      "e1",
      "s5",
      "s6",
      "s7",
      "s8",
      "e2",
    ]);
    for (const record of records) {
      const keys = Object.keys(record);
      if ("step" in record) {
        expect(keys).toEqual([
          "step",
          "epoch",
          "loss",
          "seconds",
          "gradientNorm",
          "updateNorm",
          "learningRate",
          "momentum",
          "lambda",
          "verdict",
          "rejected",
          "heldBatches",
          "status",
          "layers",
        ]);
        expect(record).toMatchObject({
          lambda: 0.1,
          status: "ok",
          epoch: Math.ceil(Number(record.step) / 4),
        });
        expect(record.layers).toHaveLength(2);
      } else {
        expect(keys).toEqual(["epoch", "testAccuracy", "trainLoss", "seconds"]);
      }
    }
    const seconds = records.map((record) => Number(record.seconds));
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
    expect(Number(records[9]?.trainLoss)).toBeLessThan(Number(records[4]?.trainLoss));
    expect(stderr).toContain("K-FAC on fake adapter: 16-8-3, 60 examples, batch 16, 8 steps");
  });

  it("has null for what there is none of", async () => {
    const folder = syntheticFolder({ test: 0 });
    const { stdout } = await run(trainOn(folder, 2, "--json", "--optimizer", "sgd", "--steps", "5"));
    const records = jsonLines(stdout);
    expect(records[0]).toMatchObject({
      lambda: null,
      momentum: null,
      verdict: null,
      status: "ok",
      layers: [],
    });
    expect(records[4]).toMatchObject({ epoch: 1, testAccuracy: null });
    // --steps ends the run within the second epoch, which is measured all the same.
    expect(records.slice(5).map(({ step, epoch }) => [step, epoch])).toEqual([
      [5, 2],
      [undefined, 2],
    ]);
  });

  it.each(["softmax", "squared", "sigmoid"])("learns with the loss %s", async (loss) => {
    const { stdout } = await run(trainOn(data, 20, "--json", "--loss", loss));
    const epochs = jsonLines(stdout).filter((record) => !("step" in record));
    expect(Number(epochs[19]?.testAccuracy)).toBeGreaterThan(0.9);
  });
});

describe("kfac train for people", () => {
  it("ends with a table on stdout", async () => {
    const { stdout, stderr } = await run(train());
    expect(stdout.split("\n")[0]).toMatch(/^epoch +training loss +test accuracy +time$/);
    expect(stdout.trim().split("\n")).toHaveLength(4);
    expect(stderr).not.toContain("\r");
    expect(stderr).toMatch(/epoch 1: training loss/);
  });

  it("says what K-FAC did about bad batches, the first of several only", async () => {
    const loss = (step: number) => (step === 2 ? Number.NaN : undefined);
    const verdict = (step: number) => (step === 4 ? "restored" : step < 4 && step > 1 ? "held" : "taken");
    const { code, stderr } = await run(train(), { hooks: { loss, verdict } });
    expect(code).toBe(0);
    expect(stderr.match(/step \d: .*/g)).toEqual(["step 2: batch held", "step 4: batch restored"]);
  });

  it("draws a bar on a terminal and takes it away", async () => {
    const { stderr } = await run(trainOn(data, 9), { tty: true });
    expect(stderr).toMatch(/\rK-FAC {2}epoch \d\/9 {2}[█░]{24} +\d+ % {2}loss .* steps\/s/);
    expect(stderr.lastIndexOf("\r\x1b[K")).toBeGreaterThan(stderr.lastIndexOf("█"));
  });

  it("writes a report", async () => {
    const file = join(temporaryFolder(), "report.html");
    await run(train("--report", file));
    expect(readFileSync(file, "utf8")).toMatch(/^<!doctype html>[\s\S]*<path class="line[\s\S]*<\/html>\n$/);
  });

  it("says which options have no effect", async () => {
    const { code, stderr } = await run(train("--optimizer", "adam", "--damping", "1", "--momentum", "0.5"));
    expect(code).toBe(0);
    expect(stderr).toContain("--damping, --momentum: no effect with --optimizer adam.");
  });
});

describe("kfac train, what goes wrong", () => {
  it.each([
    [["--layers", "conv4x9-3"], 2, "has conv4x9 where the image is only 4 × 4"],
    [["--layers", "8", "--network", "cnn"], 2, "pass one of them"],
    [["--layers", "16-8-4"], 2, "ends in 4 outputs and the data has 3 classes"],
    [["--final-rate", "0.1"], 2, "leave --final-rate out or pass a number"],
    [["--optimizer", "sgd", "--momentum", "model"], 2, "--momentum must lie in [0, 1) with --optimizer sgd"],
    [["--data", "/nowhere"], 1, "does not exist"],
    [["--save", "/nowhere/file"], 1, "folder /nowhere does not exist"],
    [["--resume", "/nowhere"], 1, "Checkpoint file: /nowhere cannot be read: it does not exist"],
  ])("%j", async (argv, exitCode, words) => {
    const base = argv[0] === "--data" ? ["train"] : ["train", "--data", data];
    const { code, stdout, stderr } = await run([...base, ...argv]);
    expect([code, stdout]).toEqual([exitCode, ""]);
    expect(stderr).toContain(words);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("stops at a loss that is not finite and keeps the old checkpoint", async () => {
    const file = join(temporaryFolder(), "run.kfac");
    await run(train("--save", file));
    const before = readFileSync(file);
    const loss = (step: number) => (step === 6 ? Number.NaN : undefined);
    const { code, stdout, stderr } = await run(train("--json"), { hooks: { loss } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/Training stopped: the loss of step 6 is not finite/);
    expect(jsonLines(stdout).filter((record) => "step" in record)).toHaveLength(5);
    const early = await run(train("--save", file), { hooks: { loss: () => Number.POSITIVE_INFINITY } });
    expect(early.code).toBe(1);
    expect(readFileSync(file)).toEqual(before);
    expect(readdirSync(join(file, ".."))).toEqual(["run.kfac"]);
  });
});

describe("kfac train --resume", () => {
  it("goes on exactly as if nothing had happened, from any step", async () => {
    const whole = join(temporaryFolder(), "whole.kfac");
    const uninterrupted = withoutSeconds((await run(train("--json", "--save", whole))).stdout);
    for (const steps of [1, 3, 4, 7]) {
      const file = join(temporaryFolder(), "part.kfac");
      const first = await run(train("--json", "--save", file, "--steps", String(steps)));
      const second = await run(["train", "--data", data, "--json", "--resume", file, "--save", file]);
      // The epoch that --steps cut short was measured at the cut, which the whole run does not do.
      const firstPart = withoutSeconds(first.stdout).slice(0, steps % 4 === 0 ? undefined : -1);
      expect([...firstPart, ...withoutSeconds(second.stdout)]).toEqual(uninterrupted);
      const [a, b] = [whole, file].map((name) => decodeCheckpoint(readFileSync(name)));
      expect(b?.tensors).toEqual(a?.tensors);
      expect({ ...b?.meta, seconds: 0 }).toEqual({ ...a?.meta, seconds: 0 });
    }
  });

  it("refuses a checkpoint of something else and names the difference", async () => {
    const file = join(temporaryFolder(), "run.kfac");
    await run(train("--save", file));
    const before = readFileSync(file);
    for (const [argv, words] of [
      [["--layers", "9"], "layers: is 16-8-3 in the file and 16-9-3 here"],
      [["--optimizer", "adam"], "optimizer: is kfac in the file and adam here"],
      [["--activation", "tanh"], "activation: is relu in the file and tanh here"],
      [["--loss", "squared"], "loss: is softmax"],
      [["--batch", "10"], "batch: is 16"],
      [["--seed", "5"], "seed: is 1"],
      [["--data", syntheticFolder({ train: 50 })], "examples: is 60 in the file and 50 here"],
    ] as const) {
      const base = argv[0] === "--data" ? ["train"] : ["train", "--data", data];
      const { code, stdout, stderr } = await run([
        ...base,
        "--resume",
        file,
        "--save",
        file,
        "--json",
        ...argv,
      ]);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain(`Checkpoint ${words}`);
      expect(readFileSync(file)).toEqual(before);
    }
    const wider = await run(["train", "--data", syntheticFolder({ side: 5 }), "--resume", file]);
    expect(wider.code).toBe(1);
  });

  it("refuses files that are damaged or not from kfac train", async () => {
    const file = join(temporaryFolder(), "run.kfac");
    await run(train("--save", file));
    const good = readFileSync(file);
    const { meta, tensors } = decodeCheckpoint(good);
    const variants: Uint8Array[] = [
      good.subarray(0, good.length - 1),
      encodeCheckpoint({ meta: {}, tensors }),
      encodeCheckpoint({ meta: { ...meta, step: -1 }, tensors }),
      encodeCheckpoint({ meta: { ...meta, step: 1.5 }, tensors }),
      encodeCheckpoint({ meta: { ...meta, layers: [16] }, tensors }),
      encodeCheckpoint({ meta: { ...meta, layers: [16, "conv0x3", 3] }, tensors }),
      encodeCheckpoint({ meta: { ...meta, settings: { learningRate: "x" } }, tensors }),
      encodeCheckpoint({ meta, tensors: {} }),
      encodeCheckpoint({ meta, tensors: { ...tensors, "weights/1": new Float32Array(3) } }),
      encodeCheckpoint({
        meta,
        tensors: { "weights/0": tensors["weights/0"]!, "weights/1": tensors["weights/1"]! },
      }),
    ];
    for (const bytes of variants) {
      writeFileSync(file, bytes);
      const { code, stdout, stderr } = await run(["train", "--data", data, "--resume", file, "--json"]);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/^Checkpoint /);
    }
  });

  it("measures and ends when nothing is left to do", async () => {
    const file = join(temporaryFolder(), "run.kfac");
    await run(train("--save", file));
    const { code, stdout } = await run(["train", "--data", data, "--resume", file, "--json"]);
    expect(code).toBe(0);
    expect(jsonLines(stdout).map(({ epoch, step }) => [epoch, step])).toEqual([[2, undefined]]);
  });
});

describe("kfac train, interrupted", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("saves after the steps in flight and leaves: %s", async (name, exitCode) => {
    const cwd = temporaryFolder();
    const { code, stdout, stderr, exits } = await run(train("--json"), {
      cwd,
      onStep: (step, { signal }) => step === 2 && signal(name),
    });
    expect([code, exits]).toEqual([exitCode, []]);
    const file = join(cwd, "kfac-checkpoint.kfac");
    expect(stderr).toContain(file);
    const { meta } = decodeCheckpoint(readFileSync(file));
    const steps = jsonLines(stdout).filter((record) => "step" in record).length;
    expect(meta.step).toBe(steps);
    expect(steps).toBeLessThan(8);
    const rest = await run(["train", "--data", data, "--resume", file, "--json"]);
    const uninterrupted = await run(train("--json"));
    expect([...withoutSeconds(stdout), ...withoutSeconds(rest.stdout)].filter((r) => "step" in r)).toEqual(
      withoutSeconds(uninterrupted.stdout).filter((r) => "step" in r),
    );
  });

  it("saves to the file of --save", async () => {
    const cwd = temporaryFolder();
    await run(train("--save", "mine.kfac"), {
      cwd,
      onStep: (step, { signal }) => step === 5 && signal("SIGINT"),
    });
    expect(readdirSync(cwd)).toEqual(["mine.kfac"]);
  });

  it("leaves at once at the second signal, unless that is an echo of the first", async () => {
    const { exits } = await run(train(), {
      onStep: (step, { signal, wait }) => {
        if (step !== 2) return;
        signal("SIGINT");
        signal("SIGINT");
        wait(1000);
        signal("SIGINT");
      },
    });
    expect(exits).toEqual([130]);
  });

  it("ends quietly when nobody reads stdout", async () => {
    const cwd = temporaryFolder();
    const { code, stderr } = await run(train("--json"), {
      cwd,
      onStep: (step, { closeStdout }) => step === 2 && closeStdout(),
    });
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/stop/i);
    expect(existsSync(join(cwd, "kfac-checkpoint.kfac"))).toBe(false);
  });
});
