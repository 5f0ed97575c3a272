/**
 * K-FAC on WebGPU: networks and optimisers, a preconditioner for the caller's own, and the linear algebra below.
 *
 * @packageDocumentation
 */
export * from "./curvature/index.js";
export type { Capabilities, DeviceOptions } from "./device/index.js";
export { createEngine, Engine } from "./engine.js";
export * from "./errors.js";
export * from "./host/index.js";
export * from "./linalg/index.js";
export * from "./network/index.js";
export * from "./optimizers/index.js";
export { type KernelTime, PipelineManager, Profiler, type Recorder } from "./pipeline/index.js";
export { type Certificate, type VerifyOptions, verify } from "./verify/index.js";
