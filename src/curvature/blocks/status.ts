import { EighStatus, InvertStatus } from "../../linalg/index.js";

/** Bytes of one `LayerState` on the GPU. */
export const LAYER_STATE_BYTES = 44;

/** How a layer's curvature stands, as of some step. What a block has no use for stays at 0, and π and the boost at 1. */
export interface LayerStatus {
  readonly name: string;
  /** λ that the last refresh used, boosts included. */
  readonly lambda: number;
  /** √(tr Ā / in) / √(tr B̄ / out): how λ is split between the factors; 1 where λI is added as it is. */
  readonly pi: number;
  /** How many times λ the last refreshes were damped with, because earlier ones failed; 1 when all is well. */
  readonly boost: number;
  /** Batches in the moving means. */
  readonly batches: { readonly A: number; readonly B: number };
  /** Whether gradients can be preconditioned yet. */
  readonly ready: boolean;
  /** Status words of the last inversions or eigenvectors; see `InvertStatus` and `EighStatus`. */
  readonly status: { readonly A: number; readonly B: number };
  /** Refreshes in which a factor did not invert, or its eigenvectors were not found. */
  readonly failures: number;
  /** Batches left out because of numbers that are not finite. */
  readonly skipped: number;
  /** `"ok"`, or what is the matter, in words. */
  readonly text: string;
}

/** Decodes one `LayerState`. */
export function layerStatus(name: string, bytes: ArrayBuffer, offset: number): LayerStatus {
  const [countA, countB, readyA, readyB, statusA, statusB, failures, skipped] = new Uint32Array(
    bytes,
    offset,
    8,
  );
  const [boost, lambda, pi] = new Float32Array(bytes, offset + 32, 3);
  const ready = readyA === 1 && readyB === 1;
  return {
    name,
    lambda: lambda!,
    pi: pi!,
    boost: boost!,
    batches: { A: countA!, B: countB! },
    ready,
    status: { A: statusA!, B: statusB! },
    failures: failures!,
    skipped: skipped!,
    text: statusText(statusA! | statusB!, ready),
  };
}

/** A status word in words; `"ok"` when nothing is set. */
export function statusText(status: number, ready = true): string {
  const words: string[] = [];
  if (status & InvertStatus.nonFinite) words.push("numbers that are not finite");
  if (status & InvertStatus.notPositiveDefinite) words.push("not positive definite");
  if (status & InvertStatus.dampingBelowFloor) words.push("damping below the f32 floor");
  if (status & EighStatus.notConverged) words.push("eigenvectors not found");
  if (!ready) words.push("no inverse yet");
  return words.length > 0 ? words.join(", ") : "ok";
}
