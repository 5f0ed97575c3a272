/** Bytes of a buffer, from the start by default. */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly bytes: number;
}

/** A tensor of a checkpoint: f32, or u32 where it says so. */
export type StateTensor = GPUBuffer | { readonly buffer: GPUBuffer; readonly words: true };
