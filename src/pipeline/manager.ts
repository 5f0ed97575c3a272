import { must, objectLike } from "../arguments.js";
import { KernelCollector } from "./collector.js";
import type { Kernel } from "./kernel.js";
import { CommandRecorder, type Recorder } from "./recorder.js";
import { Resources } from "./resources.js";

const ENCODER = objectLike("a GPUCommandEncoder", "beginComputePass");

/**
 * The pipeline manager: compiles kernels, keeps bind groups and problem tables for reuse, pools buffers, and opens the
 * recorders through which operations reach the GPU. One per device.
 */
export class PipelineManager extends Resources {
  /** A recorder over the caller's encoder, or over one of its own that `submit()` sends. */
  record(encoder?: GPUCommandEncoder): CommandRecorder {
    this.handle.assertUsable();
    if (encoder !== undefined) must("record", "encoder", encoder, ENCODER);
    return new CommandRecorder(this, encoder);
  }

  /**
   * The kernels that `record` dispatches, each once, for `prepare` to compile ahead: `record` runs with a recorder that
   * only notes them. Nothing is created, uploaded or sent, and scratch may be larger than the device could hold. Views,
   * sizes and buffers should be those of the real recording, since kernels are chosen by them.
   *
   * What `record` does beside recording does happen: buffers it creates through the manager are real, and so are writes
   * through the queue. So nothing that is recorded but not yet submitted should depend on the same settings.
   *
   * @throws what `record` throws; and an Error when it reads back or submits
   */
  collect(record: (recorder: Recorder) => void): readonly Kernel[] {
    this.handle.assertUsable();
    const collector = new KernelCollector(this);
    const outer = this.collecting;
    this.collecting = true;
    try {
      record(collector);
    } finally {
      this.collecting = outer;
    }
    return collector.kernels;
  }
}
