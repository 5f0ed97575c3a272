export class TimedOut extends Error {
  override name = "TimedOut";
}

/** Settles as `work` does, or rejects after `seconds`: a driver that never answers must not stop the whole run. */
export function timeLimit<T>(work: Promise<T>, seconds: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimedOut(`${what} took longer than ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
