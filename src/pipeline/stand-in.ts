/**
 * Stands in for a storage buffer of `size` bytes where kernels are collected: it can be told from others, kept as a key
 * and asked for its size and usage, and the GPU never sees it.
 */
export function standIn(size: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  return { label: "stand-in", size, usage } as GPUBuffer;
}
