/** `kfac newton`: one step of the note's linear network, every matrix shown. */
import { resolve } from "node:path";
import type { Command } from "../command.js";
import { Failure } from "../failure.js";
import { readNewtonFile } from "../newton/input.js";
import { solveNewton } from "../newton/solve.js";
import { newtonJson, newtonText } from "../newton/text.js";
import { describeOptions, flag, parseOptions } from "../options.js";

const OPTIONS = {
  json: flag("one JSON object on stdout, nothing else"),
} as const;

const HELP = `kfac newton: one Newton step of a linear network, W − (BB')⁻¹ G (AA')⁻¹, computed on the GPU

Usage: kfac newton FILE.json [options]

${describeOptions(OPTIONS)}

The file holds matrices as arrays of rows: { "A": in × n, "B": out × c, "target": c × n, "W": out × in } for the
prediction B'WA and the loss ½‖target − B'WA‖², or { "W", "examples": [{ "A", "B", "target" }, …] } for a sum of such
losses, where AA' and BB' are the sums over the examples. An optional "damping" λ ≥ 0 is split over the two factors
as π√λ and √λ/π.

The GPU computes in f32; inverses and step are then refined against residuals taken in f64, and the losses measured in
f64.
`;

export const newton: Command = {
  summary: "one Newton step of a linear network, from a JSON file of matrices",
  async run(argv, environment) {
    const { options, positionals, help } = parseOptions("kfac newton", OPTIONS, argv, ["FILE.json"]);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const input = readNewtonFile(resolve(environment.cwd, positionals[0]!));
    const engine = await environment.openEngine();
    try {
      const report = await solveNewton(engine, input);
      if (options.json) environment.stdout.write(`${newtonJson(report)}\n`);
      if (report.step === undefined) throw new Failure(`kfac newton: ${report.status}.`);
      if (!options.json) environment.stdout.write(newtonText(report));
      return 0;
    } finally {
      engine.dispose();
    }
  },
};
