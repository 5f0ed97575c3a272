import { requireStored } from "../curvature/blocks/stored.js";
import { ArgumentError, UnsupportedLayerError } from "../errors.js";
import { isTrainable, type Layer, type TrainableLayer } from "../layers/layer.js";
import { layerProducts } from "../layers/layer-product.js";
import { requireSize } from "../layers/sizes.js";
import { axpy, copyStrided, type Matrix, paddedLength, paddedView } from "../linalg/index.js";
import { copyInto } from "../linalg/layout/pack.js";
import { Directions } from "../memory/directions.js";
import type { ParameterStorage } from "../memory/parameters.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { Workspace } from "../memory/workspace.js";
import type { NumberPlace } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { Built } from "./build.js";
import { MOST_DIRECTIONS } from "./loss-curvature.js";
import type { Passes } from "./passes.js";

const OPERATION = "curvatureAlong";

/** Why a network has no tangents, for people; undefined where it has them. */
export function withoutTangents(built: Pick<Built, "layers">): string | undefined {
  const layer = layerWithoutTangent(built);
  return layer && `${layer.name}: layers of the kind ${layer.kind} have no tangent()`;
}

/** What the forms are of, and where they go. */
export type AlongOperands = [
  directions: readonly GPUBuffer[],
  into: NumberPlace,
  options?: { readonly examples?: number; readonly parts?: number },
];

/** As `Pass.curvatureAlong` and, with `parts`, `Pass.curvatureInParts`. */
export function curvatureAlong(
  recorder: Recorder,
  { built, workspace, passes }: { built: Built; workspace: Workspace; passes: Passes },
  pass: RecordedPass,
  ...[directions, into, { examples = workspace.batchSize, parts } = {}]: AlongOperands
): void {
  const { parameters, batchSize } = workspace;
  pass.requireCurrent(OPERATION);
  requireDirections(directions, parameters.length);
  requireSize(OPERATION, "examples", examples);
  if (parts !== undefined) requireSize(OPERATION, "parts", parts);
  requireStored(OPERATION, "into", into, directions.length ** 2 * (parts ?? 1));
  requireTangents(built);
  workspace.ensureTangents(directions.length * Math.min(examples, batchSize));
  const part = pass.part(Math.min(examples, pass.count));
  const tangents = recordTangents(recorder, built, parameters, part, directions);
  passes.lossCurvature(recorder, part.count, tangents, into, parts);
}

/** @throws UnsupportedLayerError where there are none, naming the layer */
function requireTangents(built: Built): void {
  const layer = layerWithoutTangent(built);
  if (layer) throw new UnsupportedLayerError(layer.name, layer.kind, "give the kind's layers a tangent()");
}

function layerWithoutTangent({ layers }: Pick<Built, "layers">): Layer | undefined {
  return layers.find((layer) => moves(layer) && !layer.tangent);
}

/** @throws ArgumentError unless they are 1 to 4 buffers of so many numbers */
function requireDirections(directions: readonly GPUBuffer[], length: number): void {
  const count = Array.isArray(directions) ? directions.length : undefined;
  if (!(count !== undefined && count >= 1 && count <= MOST_DIRECTIONS)) {
    const rule = `must be 1 to ${MOST_DIRECTIONS} buffers, got ${count ?? String(directions)}`;
    throw new ArgumentError(OPERATION, "directions", rule);
  }
  for (const [k, buffer] of directions.entries()) {
    if (buffer?.size >= 4 * length) continue;
    const rule = `must be laid out as the weights, ${4 * length} bytes, got ${buffer?.size ?? String(buffer)}`;
    throw new ArgumentError(OPERATION, `directions[${k}]`, rule);
  }
}

/** Whether what a layer reads depends on weights. */
function moves({ inputs }: Layer): boolean {
  return inputs.some(({ tangent }) => tangent !== undefined);
}

/**
 * Records dZ_k, the derivatives of the outputs as all weights move along D_k, for the examples of a pass whose values are still
 * in memory: forward mode, layer by layer, all directions together. Of z = W a it is V_k a + W da_k; the V_k a of layers whose
 * operands share buffers are one dispatch.
 *
 * @param buffers D_k, each laid out as the network's weights
 * @returns (K · count) × outputs, one block for each direction
 */
function recordTangents(
  recorder: Recorder,
  { layers, output }: Built,
  parameters: ParameterStorage,
  pass: RecordedPass,
  buffers: readonly GPUBuffer[],
): Matrix {
  const { count } = pass;
  const rows = buffers.length * count;
  const directions = new Directions(recorder, parameters, buffers);
  const trainable = layers.filter(isTrainable);
  layerProducts(
    recorder,
    trainable.flatMap((layer) => layer.alongWeights?.(recorder, count, directions) ?? []),
  );
  for (const layer of layers) {
    if (moves(layer)) layer.tangent!(recorder, count, rows);
    if (isTrainable(layer) && !layer.alongWeights) addAlongWeights(recorder, layer, pass, directions);
  }
  return output.tangents(rows);
}

/** V_k a from the layer's own `apply`, added to W da_k where there is that. */
function addAlongWeights(
  recorder: Recorder,
  layer: TrainableLayer,
  pass: RecordedPass,
  directions: Directions,
): void {
  const curved = layer.curvature(pass);
  const block = pass.count * layer.output.positions;
  for (const [k, V] of directions.of(layer).entries()) {
    const X = paddedView(recorder.scratch(paddedLength(block, layer.out)), 0, block, layer.out);
    curved.apply(recorder, V, X);
    const all = layer.output.tangents(directions.buffers.length * pass.count);
    const Y = { ...all, offset: all.offset + k * block * all.stride, rows: block };
    if (moves(layer)) axpy(recorder, [{ alpha: 1, X, Y }]);
    else copyStrided(recorder, [copyInto(X, Y, false)]);
    recorder.release(X.buffer);
  }
}
