import { must, objectLike, TEXT } from "../arguments.js";
import { ArgumentError, UnsupportedLayerError } from "../errors.js";
import { activationKinds } from "./activation.js";
import { addKind } from "./add.js";
import { averagePoolKind, globalAveragePoolKind } from "./average-pool.js";
import { concatKind } from "./concat.js";
import { conv2dKind } from "./conv2d.js";
import { denseKind } from "./dense.js";
import { flattenKind } from "./flatten.js";
import type { LayerKind, LayerModule } from "./kind.js";
import { maxPoolKind } from "./max-pool.js";
import { oneHotKind } from "./one-hot.js";
import { TIED } from "./tied.js";

const BUILT_IN: readonly LayerKind[] = [
  denseKind,
  conv2dKind,
  ...activationKinds,
  maxPoolKind,
  averagePoolKind,
  globalAveragePoolKind,
  flattenKind,
  oneHotKind,
  addKind,
  concatKind,
];

/** What no layer can do without. */
const KIND = objectLike("a kind of layer with shape, build and twin", "shape", "build", "twin");

const kinds = new Map(BUILT_IN.map((kind) => [kind.kind, kind]));

/**
 * Makes a kind of layer of the caller's own known to all networks: modules of that `kind` can be used like the built-in ones.
 * Registering the same kind again changes nothing.
 *
 * @throws ArgumentError for an empty name, or one that is taken by another kind.
 */
export function registerLayer<M extends LayerModule>(kind: LayerKind<M>): void {
  must("registerLayer", "kind", kind, KIND);
  const name = kind.kind;
  must("registerLayer", "kind.kind", name, { ...TEXT, words: "a name" });
  const known = kinds.get(name);
  if (known === kind) return;
  if (known || name === TIED) {
    throw new ArgumentError("registerLayer", "kind", `must be a name of its own, ${name} is taken`);
  }
  kinds.set(name, kind);
}

/** All kinds, the built-in ones first. */
export function layerKinds(): readonly LayerKind[] {
  return [...kinds.values()];
}

export function findKind(kind: string): LayerKind | undefined {
  return kinds.get(kind);
}

/** @throws UnsupportedLayerError for a kind that is not registered. */
export function kindOf(module: LayerModule, name: string): LayerKind {
  const kind = kinds.get(module?.kind);
  if (kind) return kind;
  const known = [...kinds.keys()].join(", ");
  throw new UnsupportedLayerError(
    name,
    String(module?.kind),
    `use one of ${known}, or make it known with registerLayer()`,
  );
}
