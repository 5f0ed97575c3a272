/** Bytes that the queue is given meanwhile. */
export async function uploaded({ queue }: GPUDevice, during: () => Promise<unknown>): Promise<number> {
  const write = queue.writeBuffer;
  let bytes = 0;
  queue.writeBuffer = (...given: Parameters<GPUQueue["writeBuffer"]>) => {
    const [, , data, , size] = given;
    const array = data as Uint32Array;
    bytes += size === undefined ? array.byteLength : size * (array.BYTES_PER_ELEMENT ?? 1);
    return write.apply(queue, given);
  };
  try {
    await during();
  } finally {
    // The device's own method again.
    delete (queue as Partial<GPUQueue>).writeBuffer;
  }
  return bytes;
}
