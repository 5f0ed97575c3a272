import { must, shown, TEXT } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { LayerModule } from "../layers/kind.js";
import { findKind } from "../layers/registry.js";
import { isTied } from "../layers/tied.js";
import type { Graph } from "./graph.js";

/** One layer with its name, and the names of the layers or inputs that it reads. */
export interface Entry {
  readonly name: string;
  readonly module: LayerModule;
  readonly inputs: readonly string[];
}

/** Layers, each after what it reads, and the name of the last. */
export interface Entries {
  readonly entries: readonly Entry[];
  readonly output: string;
}

/** Modules one after another: `dense1`, `relu1`, `dense2` … where no name is given. @throws ArgumentError for what is no module and for a name twice */
export function entriesOfChain(modules: readonly LayerModule[], input: string): Entries {
  for (const [index, module] of modules.entries()) {
    if (isModule(module)) continue;
    throw new ArgumentError(
      "network",
      `modules[${index}]`,
      `must be a module such as dense(…), got ${shown(module)}`,
    );
  }
  const names = numbered(modules, (kind, number) => `${kind}${number}`);
  requireDistinct("modules", names);
  const entries = modules.map((module, index) => ({
    name: names[index]!,
    module,
    inputs: [index === 0 ? input : names[index - 1]!],
  }));
  return { entries, output: names.at(-1) ?? input };
}

/**
 * A graph's layers in the order of their values, except that each comes after what it reads and after the layer it is tied
 * to.
 *
 * @throws ArgumentError for anything but a graph, naming the value at fault.
 */
export function entriesOfGraph(graph: Graph): Entries {
  const values = new Map(valuesOf(graph).map((value) => [value.name, value]));
  const inputs = Object.keys(graph.inputs);
  const layers = [...values.values()].flatMap(({ entries }) => entries.map(({ name }) => name));
  requireDistinct("values", [...inputs, ...layers]);
  const order = sorted(values, new Set(inputs));
  requireUsed(graph.output, values, inputs);
  // What a value's readers read is its last layer.
  const last = (name: string) => values.get(name)?.entries.at(-1)?.name ?? name;
  const entries = order.flatMap(({ entries, reads }) =>
    entries.map((entry, index): Entry => {
      return { ...entry, inputs: index === 0 ? reads.map(last) : [entries[index - 1]!.name] };
    }),
  );
  return { entries, output: last(graph.output) };
}

/** A value of a graph: its layers one after another, and the names that the first reads. */
interface Value {
  readonly name: string;
  readonly entries: readonly Omit<Entry, "inputs">[];
  readonly reads: readonly string[];
}

function valuesOf(graph: Graph): Value[] {
  for (const part of ["inputs", "values"] as const) {
    const record: unknown = graph?.[part];
    if (typeof record !== "object" || record === null || Object.keys(record).length === 0) {
      throw new ArgumentError("network", part, "must be a record of names with at least one");
    }
  }
  if (typeof graph.output !== "string") {
    const rule = `must be the name of one value, got ${shown(graph.output)}`;
    throw new ArgumentError("network", "output", rule);
  }
  return Object.entries(graph.values).map(([name, value]) => {
    const [first, ...reads] = Array.isArray(value) ? value : [];
    const modules: readonly unknown[] = Array.isArray(first) ? first : [first];
    const named = reads.length > 0 && reads.every((read) => typeof read === "string");
    if (!named || modules.length === 0 || !modules.every(isModule)) {
      const rule = "must be [module or list of modules, ...names of what it reads]";
      throw new ArgumentError("network", `values.${name}`, `${rule}, got ${shown(value)}`);
    }
    const names = namesWithin(name, modules as LayerModule[]);
    return {
      name,
      entries: modules.map((module, k) => ({ name: names[k]!, module: module as LayerModule })),
      reads,
    };
  });
}

function isModule(value: unknown): value is LayerModule {
  return typeof value === "object" && value !== null && typeof (value as LayerModule).kind === "string";
}

/** A value's name goes to its only layer with weights, or to the last if none has any; others are `value.relu1` …. */
function namesWithin(value: string, modules: readonly LayerModule[]): string[] {
  const trained = modules.filter((module) => isTied(module) || findKind(module.kind)?.trainable);
  const bearer = trained.length > 0 ? trained : modules.slice(-1);
  const names = numbered(modules, (kind, number) => `${value}.${kind}${number}`);
  if (bearer.length > 1) return names;
  const index = modules.indexOf(bearer[0]!);
  names[index] = bearer[0]!.name ?? value;
  return names;
}

function numbered(
  modules: readonly LayerModule[],
  nameOf: (kind: string, number: number) => string,
): string[] {
  const counts = new Map<string, number>();
  return modules.map(({ kind, name }) => {
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    if (name !== undefined) must("network", `name of ${nameOf(kind, number)}`, name, TEXT);
    return name ?? nameOf(kind, number);
  });
}

function requireDistinct(what: string, names: readonly string[]): void {
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) {
    throw new ArgumentError("network", what, `must have distinct names, got ${repeated} twice`);
  }
}

/** Depth first, so that values keep their order where they may. */
function sorted(values: ReadonlyMap<string, Value>, inputs: ReadonlySet<string>): Value[] {
  const owners = new Map(
    [...values.values()].flatMap((value) => value.entries.map(({ name }) => [name, value])),
  );
  const done = new Set<Value>();
  const visit = (value: Value, path: readonly string[]) => {
    if (done.has(value)) return;
    const start = path.indexOf(value.name);
    if (start >= 0) {
      const circle = [...path.slice(start), value.name].join(" ← ");
      throw new ArgumentError("network", "values", `must not go in circles, and ${circle} does`);
    }
    const within = [...path, value.name];
    for (const read of value.reads) {
      if (inputs.has(read)) continue;
      const source = values.get(read);
      if (!source) {
        const rule = `reads "${read}", which is neither an input nor a value`;
        throw new ArgumentError("network", `values.${value.name}`, rule);
      }
      visit(source, within);
    }
    for (const { module } of value.entries) {
      const owner = isTied(module) ? owners.get(module.layer) : undefined;
      if (owner && owner !== value) visit(owner, within);
    }
    done.add(value);
  };
  for (const value of values.values()) visit(value, []);
  return [...done];
}

/** @throws ArgumentError for values and inputs that do not lead to the output. */
function requireUsed(output: string, values: ReadonlyMap<string, Value>, inputs: readonly string[]): void {
  if (!values.has(output)) {
    throw new ArgumentError("network", "output", `must be the name of a value, got "${output}"`);
  }
  const used = new Set<string>();
  const use = (name: string) => {
    if (used.has(name)) return;
    used.add(name);
    values.get(name)?.reads.forEach(use);
  };
  use(output);
  const idle = [...inputs, ...values.keys()].find((name) => !used.has(name));
  if (idle !== undefined) {
    const what = inputs.includes(idle) ? `inputs.${idle}` : `values.${idle}`;
    throw new ArgumentError(
      "network",
      what,
      `must lead to the output "${output}", and nothing on the way reads it`,
    );
  }
}
