// Giving the page time to breathe.

/** Resolves in the next frame, or soon where the tab is hidden and draws none. Rejects once `signal` is aborted. */
export function nextFrame(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const frame = requestAnimationFrame(go);
    const timer = setTimeout(go, 100);
  });
}

/** A function that runs `work` once in the next frame, however often it is called until then. */
export function inNextFrame(work: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
