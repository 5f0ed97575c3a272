/** `kfac newton`: one step of each of the note's three networks, every matrix shown. */
import { resolve } from "node:path";
import type { Engine } from "../../engine.js";
import {
  CONVOLUTION_METHODS,
  checkConvolution,
  LINEAR_METHODS,
  type NewtonProblem,
} from "../../solve/problem.js";
import type { Command } from "../command.js";
import { Failure } from "../failure.js";
import type { Library } from "../library.js";
import { convolutionJson, convolutionText } from "../newton/convolution-text.js";
import { readNewtonFile } from "../newton/input.js";
import { newtonJson, newtonText } from "../newton/text.js";
import { choice, describeOptions, flag, parseOptions } from "../options.js";

const METHODS = [...new Set([...LINEAR_METHODS, ...CONVOLUTION_METHODS])];

const OPTIONS = {
  method: { ...choice(METHODS, "in the place of the file's"), placeholder: "NAME" },
  json: flag("one JSON object on stdout, nothing else"),
} as const;

const HELP = `kfac newton: one Newton step of a linear, piecewise linear or convolutional network, computed on the GPU

Usage: kfac newton FILE.json [options]

${describeOptions(OPTIONS)}

The file holds matrices as arrays of rows, for half squared error summed over everything:

  { "A": in × n, "B": out × c, "target": c × n, "W": out × in }
      the prediction B'WA of a linear network; step −(BB')⁻¹ G (AA')⁻¹
  { "W", "examples": [{ "A", "B", "target" }, …] }
      a piecewise linear network: a sum of such losses, H = Σ A_iA_i' ⊗ B_iB_i'
  { "tiling": K, "U", "A", "B", "target" }
      W = K U; a step of U
  { "convolution": { "inputs": N × C × H × W, "kernel": O × C × kh × kw, "target": N × outputs,
      "stride", "padding", "dilation", "bias": O, "head": outputs × (O·H'·W') } }
      the prediction head · flatten(conv(input)), or the flattened feature map without a head; gradient and step are
      O × (C·kh·kw [+ 1]), the bias last

An optional "damping" λ ≥ 0 is added to H, and "method" (inside "convolution" there) chooses what is solved:
  exact              H itself, by conjugate gradients; lands on a minimiser
  kfac               (Σ AA') ⊗ (Σ BB'), the note's product of sums; λ is split over the factors as π√λ and √λ/π
  expand, reduce     K-FAC of a convolution, positions as examples or averaged
  ekfac, kfoc, meanFluctuation
                     the eigenvalue-corrected, the nearest and the two-term Kronecker approximations
Without one it is exact; for a single linear network kfac, which is exact there. Where H is singular and λ is 0 the
step is the shortest, and the status says "minimum norm".

The GPU computes in f32; results are then refined against residuals taken in f64, and the losses measured in f64.
`;

export const newton: Command = {
  summary: "one Newton step of a linear or convolutional network, from a JSON file",
  async run(argv, environment) {
    const { options, positionals, help } = parseOptions("kfac newton", OPTIONS, argv, ["FILE.json"]);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const input = readNewtonFile(resolve(environment.cwd, positionals[0]!), options.method);
    const library = await environment.library();
    const engine = await library.createNodeEngine();
    try {
      const result = await solve(library, engine, input);
      if (options.json) environment.stdout.write(`${result.json()}\n`);
      if (result.failed !== undefined) throw new Failure(`kfac newton: ${result.failed}.`);
      if (!options.json) environment.stdout.write(result.text());
      return 0;
    } finally {
      engine.dispose();
    }
  },
};

async function solve(library: Library, engine: Engine, problem: NewtonProblem) {
  if (problem.kind === "convolution") {
    const solution = await library.solveNewton(engine, problem);
    const geometry = checkConvolution(problem);
    return {
      json: () => convolutionJson(solution, geometry),
      text: () => convolutionText(solution, geometry),
      failed: solution.step === undefined ? solution.status : undefined,
    };
  }
  const solution = await library.solveNewton(engine, problem);
  return {
    json: () => newtonJson(solution),
    text: () => newtonText(solution),
    failed: solution.step === undefined ? solution.status : undefined,
  };
}
