export { defineKernel, type Kernel, withConstants } from "./kernel.js";
export { type Binding, type ManagerCounts, PipelineManager } from "./manager.js";
export { type KernelTime, Profiler } from "./profiler.js";
export { Recorder } from "./recorder.js";
