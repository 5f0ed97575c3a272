/** The optimisers' options as flags, in help and in checkpoints. */
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/cli/failure.js";
import { describeOptions, parseOptions } from "../../src/cli/options.js";
import { CNN_SETTINGS, SETTINGS } from "../../src/cli/presets.js";
import {
  givenSettings,
  savedSettings,
  settingFlags,
  settingsFor,
  unfitSetting,
  uselessFlags,
} from "../../src/cli/settings.js";
import { TRAIN_OPTIONS } from "../../src/cli/train-options.js";
import { ADAM_OPTIONS, KFAC_OPTIONS, SGD_OPTIONS } from "../../src/optimizers/options.js";

const SCHEMAS = { kfac: KFAC_OPTIONS, sgd: SGD_OPTIONS, adam: ADAM_OPTIONS };
const flags = settingFlags(SETTINGS, CNN_SETTINGS);
const parse = (...argv: string[]) => givenSettings(parseOptions("kfac train", flags, argv).options);

/** As settings are written in a shell. */
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

describe("flags", () => {
  it("there is one for every option but the seed, which the run has", () => {
    const names = new Set(Object.values(SCHEMAS).flatMap((schema) => Object.keys(schema)));
    const expected = [...names, "finalRate"].filter((name) => name !== "seed").map(kebab);
    expect(Object.keys(flags).sort()).toEqual(expected.sort());
    for (const name of expected) expect(TRAIN_OPTIONS).toHaveProperty(name);
    expect(Object.keys(flags)).toContain("kl-clip");
  });

  it("are read as the settings that they name", () => {
    expect(
      parse("--learning-rate", "1e-3", "--final-rate=0.5", "--factor-every", "3", "--fisher", "exact"),
    ).toEqual({ learningRate: 1e-3, finalRate: 0.5, factorEvery: 3, fisher: "exact" });
    expect(parse("--beta1", "0.5", "--momentum", "0", "--kl-clip=0")).toEqual({
      beta1: 0.5,
      momentum: 0,
      klClip: 0,
    });
    expect(parse()).toEqual({});
  });

  it.each([
    ["--learning-rate", "0", 'must be a positive number or "model", got "0"'],
    ["--learning-rate", "1e39", 'must be a positive number or "model" in f32'],
    ["--learning-rate", "1e-46", 'must be a positive number or "model" in f32'],
    ["--learning-rate", "x", "must be a positive number"],
    ["--learning-rate", "", "must be a positive number"],
    ["--learning-rate", "Infinity", "must be a positive number"],
    ["--damping", "-1", "must be a number that is not negative"],
    ["--momentum", "1", "must lie in [0, 1)"],
    ["--inverse-every", "0", "must be a whole number of at least 1"],
    ["--inverse-every", "1e1", "must be a whole number of at least 1"],
    ["--inverse-every", "1.5", "must be a whole number of at least 1"],
    ["--fisher", "true", "must be monteCarlo, exact or empirical"],
    ["--learnin-rate", "1", "did you mean --learning-rate?"],
  ])("refuse %s %s", (name, value, words) => {
    expect(() => parse(`${name}=${value}`)).toThrow(UsageError);
    expect(() => parse(`${name}=${value}`)).toThrow(words);
  });

  it("show whose they are and their presets, else the library's defaults", () => {
    const help = describeOptions(flags).replace(/\s+/g, " ");
    expect(help).toContain(
      "--learning-rate X|model η, step size (kfac model, sgd 0.1, adam 0.002; with convolutions kfac model, sgd 0.05, adam 0.003)",
    );
    expect(help).toContain("--weight-decay X ω, a pull of the weights");
    expect(help).toMatch(/--momentum X\|model kfac and sgd: μ, .*? \(kfac model, sgd 0\.9\)/);
    expect(help).toMatch(/--damping X\|loss\|levenbergMarquardt kfac: λ, .*? \(loss\)/);
    expect(help).toMatch(/--factor-every N kfac: .*? \(1\)/);
    expect(help).toMatch(/--beta2 X adam: β₂, .*? \(0\.999\)/);
    expect(help).toMatch(/--final-rate X share .*? \(1; with convolutions kfac 1, sgd 0\.1, adam 0\.1\)/);
    expect(help).toMatch(
      /--curvature KIND kfac: how .*?: kronecker, .* or batch:meanFluctuation \(kronecker\)/,
    );
    expect(help).toMatch(/--fallback diagonal\|gradient kfac: .*? \(none\)/);
    expect(help).not.toContain("undefined");
    const widths = describeOptions(flags)
      .split("\n")
      .map((line) => line.length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(80);
  });
});

describe("settings", () => {
  it("of one optimiser are those in its schema", () => {
    const all = { learningRate: 1, finalRate: 0.1, momentum: 0.5, beta1: 0.3, damping: 2, samples: 4 };
    expect(settingsFor("kfac", all)).toEqual({ learningRate: 1, momentum: 0.5, damping: 2, samples: 4 });
    expect(settingsFor("sgd", all)).toEqual({ learningRate: 1, momentum: 0.5 });
    expect(settingsFor("adam", all)).toEqual({ learningRate: 1, beta1: 0.3 });
  });

  it("that mean nothing to an optimiser are named in the order given", () => {
    const given = { epochs: 3, damping: 1, momentum: 0.5, "final-rate": 0.1, "kl-clip": 0, beta1: undefined };
    expect(uselessFlags(given, "adam")).toEqual(["damping", "momentum"]);
    expect(uselessFlags(given, "sgd")).toEqual(["damping"]);
    expect(uselessFlags(given, "kfac")).toEqual([]);
    expect(uselessFlags({ beta1: 0.5 }, "kfac")).toEqual(["beta1"]);
  });

  it("may be words only where the optimiser knows them, and a rate that falls is a number", () => {
    const words = { learningRate: "model", momentum: "model", damping: "loss" } as const;
    expect(unfitSetting("kfac", {})).toBeUndefined();
    expect(unfitSetting("kfac", words)).toBeUndefined();
    expect(unfitSetting("sgd", { ...words, learningRate: 1 })).toMatch(
      /^--momentum must .* with --optimizer sgd, got "model"$/,
    );
    expect(unfitSetting("adam", words)).toMatch(
      /^--learning-rate must .* with --optimizer adam, got "model"$/,
    );
    expect(unfitSetting("kfac", { finalRate: 0.1 })).toMatch(/^--final-rate is a share of a --learning-rate/);
    expect(unfitSetting("kfac", { finalRate: 0.1, learningRate: 0.3 })).toBeUndefined();
    expect(unfitSetting("kfac", { finalRate: 1 })).toBeUndefined();
    expect(savedSettings(words, (name) => new RangeError(name))).toEqual(words);
  });

  it("come back out of a checkpoint, unless it has impossible values", () => {
    const fail = (name: string) => new RangeError(name);
    for (const settings of [...Object.values(SETTINGS), ...Object.values(CNN_SETTINGS)]) {
      expect(savedSettings(JSON.parse(JSON.stringify(settings)), fail)).toEqual(settings);
    }
    expect(savedSettings({ learningRate: 0.1, seed: 3, future: "x" }, fail)).toEqual({ learningRate: 0.1 });
    for (const [name, value] of [
      ["learningRate", "x"],
      ["learningRate", 0],
      ["learningRate", null],
      ["momentum", 1],
      ["fisher", "other"],
      ["inverseEvery", 0.5],
      ["klClip", 1e39],
      ["finalRate", 0],
    ] as const) {
      expect(() => savedSettings({ damping: 1, [name]: value }, fail)).toThrow(new RangeError(name));
    }
  });
});
