/** One library with a case's numbers on the GPU. */
export interface Contender {
  /** How the operation is spelt. */
  readonly formulation: string;
  /** Does the operation so many times and waits until the GPU has finished the last. */
  run(repetitions: number): Promise<void>;
  output(): Promise<Float32Array>;
  dispose(): void;
}
