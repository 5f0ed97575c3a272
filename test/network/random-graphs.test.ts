/** Graphs that nobody thought of: whatever reads what, it is what the twin says. */
import { type Form, formOfInput, type InputForm, sameForm } from "../../src/layers/form.js";
import { kindOf } from "../../src/layers/registry.js";
import {
  add,
  averagePool2d,
  concat,
  conv2d,
  dense,
  flatten,
  type Graph,
  type GraphValue,
  globalAveragePool,
  halfSquaredError,
  leakyRelu,
  logistic,
  type Module,
  maxPool2d,
  oneHot,
  softmaxCrossEntropy,
  type TiedModule,
  tanh,
  tied,
} from "../../src/network/index.js";
import { type Random, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { checkGraph } from "./graph-helpers.js";

/** Steps that every graph has beside those that lead to its output. */
const STEPS = 9;

/** A graph with one value after another, each reading any before it; what nobody reads ends in the output. */
function randomGraph(random: Random): Graph {
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;
  const inputs: Record<string, InputForm> = {
    image: [2, 4, 3],
    words: { length: 3, features: 2 },
    index: { indices: 4 },
    x: 3,
  };
  const values: Record<string, GraphValue> = {};
  const forms = new Map(
    Object.entries(inputs).map(([name, form]) => [name, formOfInput("test", name, form)]),
  );
  const unread = new Set(Object.keys(inputs));
  const trained = new Map<string, { module: Module; form: Form }>();
  const put = (module: Module, ...reads: string[]) => {
    const name = `v${Object.keys(values).length}`;
    values[name] = [module, ...reads];
    const owner = trained.get((module as Partial<TiedModule>).layer ?? "")?.module;
    const kind = kindOf(owner ?? module, name);
    const from = reads.map((read) => forms.get(read)!);
    forms.set(name, kind.shape(owner ?? module, from, name));
    if (kind.trainable && !owner) trained.set(name, { module, form: from[0]! });
    for (const read of reads) unread.delete(read);
    unread.add(name);
  };
  put(oneHot(), "index");
  for (let step = 0; step < STEPS; step++) {
    const read = pick([...forms.keys()].filter((name) => forms.get(name)!.kind !== "indices"));
    const form = forms.get(read)!;
    const alike = [...forms.keys()].filter((name) => sameForm(forms.get(name)!, form));
    const again = [...trained].filter(([, own]) => sameForm(own.form, form)).map(([name]) => name);
    const choices: (() => unknown)[] = [
      () => put(pick([tanh(), logistic(), leakyRelu(0.3)]), read),
      () => put(add(), read, pick(alike)),
      () => put(concat(), read, pick(alike)),
      ...(again.length > 0 ? [() => put(tied(pick(again)), read)] : []),
    ];
    if (form.kind === "image") {
      choices.push(
        () => put(conv2d(form.channels, 2, 2, { padding: 1 }), read),
        () => put(globalAveragePool(), read),
        () => put(flatten(), read),
        () => put(form.height > 2 && form.width > 2 ? maxPool2d(2, { stride: 1 }) : averagePool2d(1), read),
      );
    } else {
      const { features } = form as { features: number };
      const same = dense(features, random.integer(2) === 0 ? features : 3);
      choices.push(
        () => put(same, read),
        () => put(same, read),
      );
      if (form.kind === "sequence") {
        choices.push(
          () => put(globalAveragePool(), read),
          () => put(flatten(), read),
        );
      }
    }
    pick(choices)();
  }
  return { inputs, values: withOutput(values, [...unread], forms), output: "out" };
}

/** All that nobody reads, as vectors side by side, and a dense layer. */
function withOutput(
  values: Readonly<Record<string, GraphValue>>,
  unread: readonly string[],
  forms: ReadonlyMap<string, Form>,
): Record<string, GraphValue> {
  const all: Record<string, GraphValue> = { ...values };
  let width = 0;
  const parts = unread.map((name) => {
    const form = forms.get(name)!;
    all[`end of ${name}`] = [form.kind === "vector" ? tanh() : globalAveragePool(), name];
    width += form.kind === "image" ? form.channels : (form as { features: number }).features;
    return `end of ${name}`;
  });
  const last = dense(width, 3);
  all.out = [parts.length > 1 ? [concat(), last] : last, ...parts];
  return all;
}

for (let seed = 1; seed <= 12; seed++) {
  trainingTest(`random graphs: number ${seed}`, async (t) => {
    const manager = managerOf(t);
    const description = randomGraph(t.random(seed));
    const loss = seed % 2 === 0 ? softmaxCrossEntropy() : halfSquaredError();
    const what = JSON.stringify(description.values);
    await checkGraph(t, manager, { description, loss, what, counts: [4, 5], bound: 1e-4 });
  });
}
