/** Stands in for bench/library.mjs, so that the benchmark's own tests need no build. */
export * as charts from "../../src/charts/index.js";
export * as timing from "../../src/timing/index.js";

const notHere = () => {
  throw new Error("these tests measure nothing");
};
export const loadLibrary = notHere;
export const loadReference = notHere;
