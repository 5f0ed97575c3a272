/** Options as data: defaults, ranges, names, changes in mid-run. */

import { shown } from "../../src/arguments.js";
import { APPROXIMATIONS, BLOCK_KINDS } from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import { dense, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import {
  ADAM_OPTIONS,
  ADAMW_OPTIONS,
  type AdamOptions,
  KFAC_OPTIONS,
  type KfacOptions,
  NEWTON_OPTIONS,
  type OptionSchema,
  SGD_OPTIONS,
  type SgdOptions,
} from "../../src/optimizers/index.js";
import { changeOptions, problemWith, resolveOptions } from "../../src/optimizers/resolve.js";
import { assert, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const SCHEMAS: Record<string, OptionSchema> = {
  kfac: KFAC_OPTIONS,
  newton: NEWTON_OPTIONS,
  sgd: SGD_OPTIONS,
  adam: ADAM_OPTIONS,
  adamW: ADAMW_OPTIONS,
};

/** A value for what has no default. */
const needed = (schema: OptionSchema) =>
  schema.learningRate!.default === undefined ? { learningRate: 0.5 } : {};

trainingTest("options: the defaults, and what callers may leave out", () => {
  const defaults = (name: string) =>
    JSON.stringify(resolveOptions(name, SCHEMAS[name]!, needed(SCHEMAS[name]!)));
  const step = '"weightDecay":0,"decay":"coupled","gradientClip":0,"klClip":0,"averageDecay":0';
  assertEqual(
    defaults("kfac"),
    `{"learningRate":"model",${step},"damping":"loss","dampingShare":0.001,"leastDamping":1e-10,"mostDamping":10000000000,"momentum":"model","trustRegion":1,"emaDecay":"window","burnIn":0,"factorEvery":1,"inverseEvery":10,"inverses":"staggered","fisher":"monteCarlo","samples":"auto","seed":0,"curvature":"kronecker","factorPrecision":"f32"}`,
    "K-FAC",
  );
  assertEqual(
    defaults("newton"),
    `{"learningRate":1,${step},"damping":0.01,"momentum":0,"maxIterations":20,"tolerance":0.0001,"fisher":"exact","samples":1,"seed":0}`,
    "Newton",
  );
  assertEqual(defaults("sgd"), `{"learningRate":0.5,${step},"momentum":0.9}`, "SGD");
  assertEqual(
    defaults("adam"),
    `{"learningRate":0.001,${step},"beta1":0.9,"beta2":0.999,"epsilon":1e-8}`,
    "Adam",
  );
  assertEqual(
    defaults("adamW"),
    defaults("adam").replace('"weightDecay":0,"decay":"coupled"', '"weightDecay":0.01,"decay":"decoupled"'),
    "AdamW",
  );
  // The types agree: these lines compile, and the marked ones would not without the mark.
  const kfac: KfacOptions = { fisher: { kind: "monteCarlo", samples: 2 }, damping: (n) => 1 / n };
  const adam: AdamOptions = {};
  // @ts-expect-error there is no default
  const sgd: SgdOptions = {};
  // @ts-expect-error not a kind of Fisher
  const wrong: KfacOptions = { fisher: "true" };
  // @ts-expect-error momentum has no schedule
  const scheduled: SgdOptions = { learningRate: 1, momentum: () => 0.5 };
  assert(kfac && adam && sgd && wrong && scheduled, "");
});

trainingTest("options: every entry says what it is, and takes its own default", () => {
  for (const [name, schema] of Object.entries(SCHEMAS)) {
    for (const [option, entry] of Object.entries(schema)) {
      const what = `${name}.${option}`;
      assert(entry.help.length > 8 && !/[.;,]$/.test(entry.help), `${what}: help`);
      if (entry.default !== undefined) assertEqual(problemWith(entry, entry.default), undefined, what);
      else assert(entry.optional || option === "learningRate", `${what} has no default`);
      if (entry.type === "choice") {
        for (const word of entry.choices) assertEqual(problemWith(entry, word), undefined, `${what} ${word}`);
      } else {
        for (const word of entry.words ?? [])
          assertEqual(problemWith(entry, word), undefined, `${what} ${word}`);
        for (const end of entry.usual ?? [])
          assertEqual(problemWith(entry, end), undefined, `${what} ${end}`);
      }
    }
  }
  assertEqual(NEWTON_OPTIONS.preconditioner.choices.join(), APPROXIMATIONS.join(), "preconditioners");
  assertEqual(KFAC_OPTIONS.curvature.choices.join(), BLOCK_KINDS.join(), "kinds of curvature");
});

trainingTest("options: bad values are refused with optimiser, option, value and what is right", () => {
  const refuse = (name: string, option: string, values: readonly unknown[], text: RegExp) => {
    const schema = SCHEMAS[name]!;
    for (const value of values) {
      const resolve = () => resolveOptions(name, schema, { ...needed(schema), [option]: value });
      assertThrows(resolve, ArgumentError, text);
      try {
        resolve();
      } catch (error) {
        const { operation, argument, message } = error as ArgumentError;
        assertEqual(`${operation} ${argument}`, `${name} ${option}`, "named");
        assert(message.includes(`got ${shown(value)}`), message);
      }
    }
  };
  const nonsense = [Number.NaN, Number.POSITIVE_INFINITY, "0.1", null, true, {}, []];
  for (const name of Object.keys(SCHEMAS)) {
    refuse(name, "learningRate", [0, -1, ...nonsense], /must be a positive number( or "model")?, got/);
    // f32 makes ∞ and 0 of these.
    refuse(name, "learningRate", [1e39, 1e-46], /must be a positive number( or "model")? in f32, got/);
    refuse(name, "weightDecay", [-1, ...nonsense], /must be a number that is not negative, got/);
    refuse(name, "weightDecay", [1e39], /in f32/);
    refuse(name, "gradientClip", [-1e-9, 4e38, ...nonsense], /must be a number that is not negative/);
    refuse(name, "decay", ["none", ...nonsense], /must be coupled or decoupled, got/);
    refuse(name, "klClip", [-1e-9, 4e38, ...nonsense], /must be a number that is not negative/);
  }
  refuse("kfac", "momentum", [1, -0.1, ...nonsense], /must lie in \[0, 1\) or "model", got/);
  // The nearest f32 is 1.
  refuse("kfac", "momentum", [1 - 1e-9], /must lie in \[0, 1\)( or "model")? in f32/);
  refuse("kfac", "damping", [-1, ...nonsense], /must be a number that is not negative/);
  refuse("kfac", "damping", [1e39], /in f32/);
  refuse(
    "kfac",
    "inverseEvery",
    [0, 1.5, -3, 2 ** 60, ...nonsense],
    /must be a whole number of at least 1, got/,
  );
  refuse("kfac", "seed", [-1, 0.5, 2 ** 32, ...nonsense], /must be a whole number from 0 to 4294967295, got/);
  refuse("kfac", "fisher", ["true", "", 1], /must be monteCarlo, exact or empirical, got/);
  refuse(
    "kfac",
    "curvature",
    ["batch", 3, null, {}],
    /must be kronecker, expand, reduce, eigen, ekfac, .* or batch:meanFluctuation, got/,
  );
  refuse("kfac", "fallback", ["none", null, () => "diagonal"], /must be diagonal or gradient, got/);
  refuse("newton", "preconditioner", ["none"], /must be diagonal, expand, .* or meanFluctuation, got "none"/);
  refuse("adam", "epsilon", [0, 1e-46], /must be a positive number/);
  // 0 is allowed where it means nothing is done, and so is what f32 rounds to it; a schedule where there may be one.
  for (const options of [
    { damping: 0, weightDecay: 1e-46 },
    { damping: () => 1, learningRate: () => 2 },
  ]) {
    resolveOptions("kfac", KFAC_OPTIONS, options);
  }
  assertThrows(
    () => resolveOptions("kfac", KFAC_OPTIONS, { momentum: () => 0.5 }),
    ArgumentError,
    /momentum/,
  );
});

trainingTest("options: unknown names are refused with a suggestion", () => {
  const unknown: [string, unknown, RegExp][] = [
    ["kfac", { learingRate: 0.1 }, /^kfac: learingRate is not an option; pass learningRate\.$/],
    ["kfac", { inverse_every: 3 }, /inverse_every is not an option; pass inverseEvery/],
    ["adam", { momentum: 0.9 }, /^adam: momentum is not an option; there are learningRate, .*epsilon\.$/],
    ["sgd", { learningRate: 1, damping: undefined }, /damping is not an option/],
    ["kfac", { constructor: 1 }, /constructor is not an option/],
    ["kfac", { fisher: { kind: "exact", sample: 2 } }, /sample is not an option; pass samples/],
    [
      "kfac",
      { fisher: { kind: "monteCarlo", samples: 2 }, samples: 3 },
      /samples is given twice, as 2 and as 3/,
    ],
    ["kfac", { fisher: {} }, /fisher must be monteCarlo, .* got undefined/],
    ["kfac", null, /options must be an object, got null/],
    ["kfac", [], /options must be an object/],
    ["kfac", 0.1, /options must be an object, got 0.1/],
  ];
  for (const [name, options, text] of unknown) {
    assertThrows(() => resolveOptions(name, SCHEMAS[name]!, options), ArgumentError, text);
  }
  const twice = resolveOptions("kfac", KFAC_OPTIONS, { fisher: { kind: "exact", samples: 2 }, samples: 2 });
  assertEqual(`${twice.fisher} ${twice.samples}`, "exact 2", "the same said twice");
});

trainingTest(
  "options: those that are live change in mid-run, the others are refused and nothing changes",
  () => {
    const options = resolveOptions("kfac", KFAC_OPTIONS, { damping: 0.5, momentum: 0.9 });
    const changed = changeOptions("kfac", KFAC_OPTIONS, options, {
      momentum: 0.1,
      inverseEvery: 3,
      fisher: { kind: "exact", samples: 2 },
    });
    const { momentum, inverseEvery, fisher, samples, damping, emaDecay } = changed;
    assertEqual(
      [momentum, inverseEvery, fisher, samples, damping, emaDecay].join(),
      "0.1,3,exact,2,0.5,window",
      "",
    );
    assertEqual(options.momentum, 0.9, "the options before");
    const refused: [object, RegExp][] = [
      [{ emaDecay: 0.5 }, /emaDecay cannot be changed in mid-run; make a new optimiser/],
      [{ momentum: 0.1, seed: 3 }, /seed cannot be changed/],
      [{ momentum: 1 }, /momentum must lie/],
      [{ moment: 1 }, /pass momentum/],
    ];
    for (const [changes, text] of refused) {
      assertThrows(() => changeOptions("kfac", KFAC_OPTIONS, options, changes), ArgumentError, text);
    }
  },
);

trainingTest("options: an optimiser tells its own, and changes them from one step to the next", async (t) => {
  const loss = softmaxCrossEntropy();
  const modules = [dense(6, 9), tanh(), dense(9, 4)];
  const random = t.random(3);
  const batches = Array.from({ length: 8 }, () => randomBatch(random, 12, 6, 4, loss));
  const net = t.engine.network(modules, loss, { batchSize: 12, seed: 2 });
  const kfac = t.engine.kfac(net, { fisher: "empirical", inverseEvery: 2, learningRate: 0.05 });
  assertEqual(kfac.options.fisher, "empirical", "Fisher");
  assertEqual(kfac.options.emaDecay, "window", "β");
  assert(Object.isFrozen(kfac.options), "options can be written to");
  const before = kfac.options;
  for (const batch of batches.slice(0, 4)) void kfac.step(batch);
  // Counts from the fifth step on, although the first has not been sent.
  kfac.change({
    fisher: "exact",
    inverseEvery: 1,
    momentum: 0.2,
    weightDecay: 0.1,
    klClip: 1e-3,
    damping: 0.3,
  });
  assertThrows(() => kfac.change({ emaDecay: 0 } as object), ArgumentError, /cannot be changed/);
  assertEqual(before.momentum, "model", "options from before");
  assertEqual(`${kfac.options.momentum} ${kfac.damping}`, "0.2 0.3", "options now");
  const records = await Promise.all(batches.slice(4).map((batch) => kfac.step(batch)));
  assertEqual(records.map(({ lambda }) => lambda).join(), "0.3,0.3,0.3,0.3", "λ");
  assert(
    records.some(({ clip }) => clip < 1),
    "the clip takes no part",
  );

  // The same by two optimisers, the second with the first one's state.
  const other = t.engine.network(modules, loss, { batchSize: 12, seed: 2 });
  const first = t.engine.kfac(other, { fisher: "empirical", inverseEvery: 2, learningRate: 0.05 });
  for (const batch of batches.slice(0, 4)) await first.step(batch);
  const options = {
    fisher: "exact",
    inverseEvery: 1,
    momentum: 0.2,
    weightDecay: 0.1,
    klClip: 1e-3,
  } as const;
  const second = t.engine.kfac(other, { ...options, damping: 0.3, learningRate: 0.05 });
  second.restore(await first.state());
  for (const batch of batches.slice(4)) await second.step(batch);
  assertSame(await net.weights(), await other.weights(), "weights");
  for (const made of [kfac, first, second, net, other]) made.dispose();
});
