// Work off the page's own thread.

/** Sends one message, returns the one answer and ends the worker. @throws what ended it, or the signal's reason */
export function askOnce<T>(worker: Worker, message: unknown, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => {
      worker.terminate();
      signal.removeEventListener("abort", aborted);
    };
    const aborted = () => {
      stop();
      reject(signal.reason);
    };
    worker.addEventListener("message", ({ data }: MessageEvent<T>) => {
      stop();
      resolve(data);
    });
    worker.addEventListener("error", (event) => {
      stop();
      reject(new Error(event.message || "the worker did not start"));
    });
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted);
    worker.postMessage(message);
  });
}
