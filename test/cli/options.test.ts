import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/cli/failure.js";
import { networkSizes, parseLayers, specOf } from "../../src/cli/layers.js";
import { choice, describeOptions, flag, integer, number, parseOptions, text } from "../../src/cli/options.js";
import { run } from "./fake-environment.js";

const table = {
  name: text("WORD", "a word"),
  rate: number("a rate", { above: 0 }),
  share: number("a share", { least: 0, below: 1 }),
  count: integer("a count", 1, 10),
  kind: choice(["one", "two"], "a kind"),
  json: flag("a flag"),
} as const;
const parse = (...argv: string[]) => parseOptions("kfac test", table, argv, ["FILE"]);

describe("parseOptions", () => {
  it("reads every kind of option, with = and without", () => {
    expect(
      parse("file", "--rate", "1e-3", "--share=0", "--count", "3", "--kind=two", "--json", "--name=--x"),
    ).toEqual({
      options: { rate: 1e-3, share: 0, count: 3, kind: "two", json: true, name: "--x" },
      positionals: ["file"],
      help: false,
    });
    expect(parse("--", "--file").positionals).toEqual(["--file"]);
    expect(parse("--help", "--nonsense").help).toBe(true);
    expect(parse("-h").help).toBe(true);
  });

  it.each([
    [["f", "--nam", "x"], "unknown option --nam; did you mean --name?"],
    [["f", "--constructor", "x"], "unknown option --constructor"],
    [["f", "-x"], "unknown option -x"],
    [["f", "--rate"], "--rate needs a value (X)"],
    [["f", "--rate", "--json"], "--rate needs a value (X)"],
    [["f", "--rate="], "--rate must be a number above 0"],
    [["f", "--rate", "0"], 'above 0, got "0"'],
    [["f", "--rate", "-1"], 'above 0, got "-1"'],
    [["f", "--rate", "Infinity"], "must be a number"],
    [["f", "--rate", "1x"], "must be a number"],
    [["f", "--share", "1"], "at least 0 and below 1"],
    [["f", "--count", "1.5"], "--count must be a whole number at least 1 and at most 10"],
    [["f", "--count", "1e0"], "whole number"],
    [["f", "--count", "99999999999999999999"], "whole number"],
    [["f", "--kind", "three"], '--kind must be one or two, got "three"'],
    [["f", "--json=yes"], "--json takes no value"],
    [["f", "--count", "1", "--count", "2"], "--count is given twice"],
    [["f", "--name", ""], "--name must not be empty"],
    [["f", "g"], "unexpected argument g"],
    [[], "FILE is missing"],
  ])("refuses %j", (argv, words) => {
    expect(() => parse(...argv)).toThrow(UsageError);
    expect(() => parse(...argv)).toThrow(words);
  });

  it("describes every option in lines that fit a terminal", () => {
    const lines = describeOptions({ ...table, long: text("X", "word ".repeat(40).trim()) }).split("\n");
    for (const name of [...Object.keys(table), "help"]) {
      expect(lines.some((line) => line.startsWith(`  --${name}`))).toBe(true);
    }
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

const MNIST = { features: 784, featureShape: [28, 28], classes: 10 };

describe("--layers", () => {
  it("takes all sizes or hidden ones", () => {
    expect(networkSizes(parseLayers("784-256-128-10"), MNIST)).toEqual([784, 256, 128, 10]);
    expect(networkSizes(parseLayers("256-128"), MNIST)).toEqual([784, 256, 128, 10]);
    expect(networkSizes(parseLayers("32"), MNIST)).toEqual([784, 32, 10]);
    expect(networkSizes(parseLayers("784-10"), MNIST)).toEqual([784, 10]);
  });

  it("takes a convolutional network layer by layer", () => {
    const sizes = (layers: string) => networkSizes(parseLayers(layers), MNIST);
    const whole = ["1x28x28", "conv16x5p2", "pool2", "conv32x5p2", "pool2", 10];
    expect(sizes("conv16x5p2-pool2-conv32x5p2-pool2-10")).toEqual(whole);
    expect(sizes("conv16x5p2-pool2-conv32x5p2-pool2")).toEqual(whole);
    expect(sizes("conv8x3s2-gap-32")).toEqual(["1x28x28", "conv8x3s2", "gap", 32, 10]);
    expect(networkSizes(whole, MNIST)).toEqual(whole);
    expect(specOf("conv16x5s2p1")).toEqual({ kind: "conv", out: 16, kernel: 5, stride: 2, padding: 1 });
    expect(specOf("avg3s2")).toEqual({ kind: "averagePool", kernel: 3, stride: 2 });
  });

  it.each([
    ["conv16x5-0", "must be sizes"],
    ["conv16", "must be sizes"],
    ["conv16x3p3", "must be sizes"],
    ["pool0", "must be sizes"],
    ["8-1x28x28", "must be sizes"],
  ])("refuses %s", (layers, words) => {
    expect(() => parseLayers(layers)).toThrow(words);
  });

  it.each([
    ["conv8x30-10", MNIST, "has conv8x30 where the image is only 28 × 28"],
    ["32-conv8x3", MNIST, "has conv8x3 behind a dense layer or gap"],
    ["conv8x3-8-gap-10", MNIST, "has gap behind a dense layer"],
    ["conv8x3-10", { features: 12, featureShape: [12], classes: 10 }, "the data's examples have shape 12"],
  ])("names what does not fit in %s", (layers, shape, words) => {
    expect(() => networkSizes(parseLayers(layers), shape)).toThrow(UsageError);
    expect(() => networkSizes(parseLayers(layers), shape)).toThrow(words);
  });

  it("says when the data has another shape", () => {
    expect(() => networkSizes(["3x32x32", "conv8x3", 10], MNIST)).toThrow(
      "starts with 3x32x32 and the data has 1x28x28",
    );
  });

  it("names both sizes of a contradiction", () => {
    const sentence = (layers: string) => {
      try {
        networkSizes(parseLayers(layers), MNIST);
      } catch (error) {
        return error instanceof UsageError ? error.message : "";
      }
      return "";
    };
    expect(sentence("100-32-10")).toMatch(/100 inputs and the data has 784 features; pass 784-32-10/);
    expect(sentence("784-32-7")).toMatch(/7 outputs and the data has 10 classes; pass 784-32-10/);
    expect(sentence("784-7")).toMatch(/7 outputs .* 10 classes/);
    expect(sentence("16-32-3")).toMatch(/16 inputs .* 784 .* 3 outputs .* 10/);
  });

  it.each(["", "10-", "-10", "0-3", "3.5", "a-b", "10--3", "99999999"])("refuses %j", (value) => {
    expect(() =>
      parseOptions("kfac train", { layers: { placeholder: "S", help: "", parse: parseLayers } }, [
        "--layers",
        value,
      ]),
    ).toThrow(UsageError);
  });
});

describe("main", () => {
  it("has help and a version on stdout", async () => {
    for (const argv of [
      ["--help"],
      ["train", "--help"],
      ["mnist", "-h"],
      ["demo-run", "--help"],
      ["newton", "--help"],
    ]) {
      const { code, stdout, stderr } = await run(argv);
      expect(code).toBe(0);
      expect(stdout).toContain("Usage: kfac");
      expect(stderr).toBe("");
    }
    expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    [[], "a command is missing"],
    [["trian"], "unknown command trian; did you mean train?"],
    [["--json"], "unknown option --json"],
    [["constructor"], "unknown command constructor"],
    [["train", "--bogus"], "unknown option --bogus"],
    [["train", "--batch", "0"], "--batch must be a whole number at least 1"],
    [["train", "extra"], "unexpected argument extra"],
    [["newton"], "FILE.json is missing"],
    [["mnist", "--epochs", "3"], "unknown option --epochs"],
  ])("answers %j in one sentence with exit code 2", async (argv, words) => {
    const { code, stdout, stderr } = await run(argv);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(words);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
