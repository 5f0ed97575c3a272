import { Recorder } from "./recorder.js";
import { Resources } from "./resources.js";

/**
 * The pipeline manager: compiles kernels, keeps bind groups and problem tables for reuse, pools buffers, and opens the
 * recorders through which operations reach the GPU. One per device.
 */
export class PipelineManager extends Resources {
  /** A recorder over the caller's encoder, or over one of its own that `submit()` sends. */
  record(encoder?: GPUCommandEncoder): Recorder {
    this.handle.assertUsable();
    return new Recorder(this, encoder);
  }
}
