/** `#runner` in a page and in Deno: kernel tests are collected here and executed by `suite.ts`. */
import type { Case } from "#runner";

export interface RegisteredCase extends Case {
  file: string;
}

export const registry: RegisteredCase[] = [];

let currentFile = "";

export function enterFile(file: string): void {
  currentFile = file;
}

export function register(testCase: Case): void {
  registry.push({ ...testCase, file: currentFile });
}

export let driver = "unknown";

export function setDriver(name: string): void {
  driver = name;
}

export function gpu(): GPU | undefined {
  return navigator.gpu;
}

let adapterListener: (name: string) => void = () => {};

export function onAdapter(listener: (name: string) => void): void {
  adapterListener = listener;
}

export function announceAdapter(name: string): void {
  adapterListener(name);
}
