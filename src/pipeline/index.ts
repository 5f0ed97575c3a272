export { defineKernel, type Kernel, withConstants } from "./kernel.js";
export { PipelineManager } from "./manager.js";
export { type KernelTime, Profiler } from "./profiler.js";
export type { CommandRecorder, ReadRange, Recorder } from "./recorder.js";
export type { Binding, ManagerCounts, Resources } from "./resources.js";
