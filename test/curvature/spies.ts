/** How often `method` of the class of `object` is called while `run` lasts. */
export async function calls(object: object, method: string, run: () => unknown): Promise<number> {
  const prototype = Object.getPrototypeOf(object) as Record<string, (...values: unknown[]) => unknown>;
  const original = prototype[method]!;
  let count = 0;
  prototype[method] = function (this: unknown, ...values: unknown[]) {
    count++;
    return original.apply(this, values);
  };
  try {
    await run();
  } finally {
    prototype[method] = original;
  }
  return count;
}

/** Queue submissions while `run` lasts. */
export function submits(device: GPUDevice, run: () => unknown): Promise<number> {
  return calls(device.queue, "submit", run);
}

/** Dispatches recorded while `run` lasts. */
export function dispatches(device: GPUDevice, run: () => unknown): Promise<number> {
  const pass = device.createCommandEncoder().beginComputePass();
  return calls(pass, "dispatchWorkgroups", run);
}
