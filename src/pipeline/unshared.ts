/**
 * The same numbers where WebGPU takes them from: it refuses memory that is shared among threads (a `SharedArrayBuffer`), and Dawn in
 * Node ends the process at it. A copy is made of those alone.
 */
export function unshared<T extends Float32Array | Uint32Array | Uint8Array>(
  array: T,
): T & ArrayBufferView<ArrayBuffer> {
  const own = typeof SharedArrayBuffer !== "undefined" && array.buffer instanceof SharedArrayBuffer;
  return (own ? array.slice() : array) as T & ArrayBufferView<ArrayBuffer>;
}
