import { objectLike, oneOf, optionsOf, type Rules } from "../arguments.js";
import { DeviceLostError, LimitError, NoAdapterError } from "../errors.js";
import { type Capabilities, capabilitiesOf, OPTIONAL_FEATURES, RAISED_LIMITS } from "./capabilities.js";

/** Which device: one of the caller's, or one of our own. */
export interface DeviceOptions {
  /** A device of the caller's. It is borrowed: nothing is assigned to it and it is never destroyed. */
  device?: GPUDevice;
  /** The WebGPU entry point; defaults to `navigator.gpu` (Node passes Dawn's). */
  gpu?: GPU;
  powerPreference?: GPUPowerPreference;
}

const OPTIONS: Rules<DeviceOptions> = {
  device: objectLike("a GPUDevice", "destroy"),
  gpu: objectLike("a GPU, such as navigator.gpu", "requestAdapter"),
  powerPreference: oneOf("low-power", "high-performance"),
};

/** A device in use, owned or borrowed, with what it can do and whether it is still there. */
export class DeviceHandle {
  readonly device: GPUDevice;
  readonly owned: boolean;
  readonly capabilities: Capabilities;
  /** Resolves with the error to throw once the device is lost. Never resolves on our own `dispose()`. */
  readonly lost: Promise<DeviceLostError>;
  /** Nothing is made or computed: numbers that would be uploaded need not be there. */
  readonly dry: boolean;
  #lostError: DeviceLostError | undefined;
  #disposed = false;

  /** @param options.dryAs of a device that makes nothing: the capabilities of the one that it stands for */
  constructor(
    device: GPUDevice,
    owned: boolean,
    info: GPUAdapterInfo | undefined,
    { dryAs }: { dryAs?: Capabilities } = {},
  ) {
    this.device = device;
    this.owned = owned;
    this.dry = dryAs !== undefined;
    this.capabilities = dryAs ?? capabilitiesOf(device, info);
    this.lost = new Promise((resolve) => {
      device.lost.then((loss) => {
        if (this.#disposed) return;
        this.#lostError = new DeviceLostError(loss.message || loss.reason || "no reason given");
        resolve(this.#lostError);
      });
    });
  }

  /** @throws DeviceLostError when the device is gone. Called before anything is recorded. */
  assertUsable(): void {
    if (this.#lostError) throw this.#lostError;
    if (this.#disposed) throw disposedError();
  }

  /** The error to pass on for a failed GPU operation: the loss of the device, or our own `dispose()`, if that it was. */
  async explain(error: unknown): Promise<unknown> {
    if (this.#lostError) return this.#lostError;
    if (this.#disposed) return disposedError(error);
    // A busy machine tells the loss late. What is aborted without our doing was a loss all but surely: that may take its time.
    const seconds = (error as { name?: unknown } | undefined)?.name === "AbortError" ? 30 : 1;
    // Second by second: a timer that is overdue comes before the news of a loss that is already there.
    for (let second = 0; second < seconds; second++) {
      const patience = new Promise<undefined>((resolve) => setTimeout(resolve, 1000));
      const lost = await Promise.race([this.lost, patience]);
      if (lost) return lost;
      if (this.#disposed) return disposedError(error);
    }
    return this.#lostError ?? error;
  }

  /** Destroys the device if it is our own. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.owned) this.device.destroy();
  }
}

function disposedError(cause?: unknown): DeviceLostError {
  return new DeviceLostError("the engine was disposed", "", { cause });
}

/** The least a device must offer for the kernels to be correct: WebGPU's own default limits. */
const REQUIRED_LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBufferBindingSize: 16 * 1024 * 1024,
} as const;

/**
 * Borrows the caller's device, or opens one of our own with every optional feature and raised limit the adapter has.
 *
 * @throws ArgumentError for a bad option.
 * @throws NoAdapterError when the platform has no WebGPU or no adapter.
 * @throws LimitError when the device offers less than the kernels need.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<DeviceHandle> {
  optionsOf("createEngine", OPTIONS, options);
  const handle = options.device
    ? new DeviceHandle(options.device, false, adapterInfo(options.device))
    : await openOwnDevice(options);
  for (const [name, needed] of Object.entries(REQUIRED_LIMITS)) {
    const available = handle.device.limits[name as keyof typeof REQUIRED_LIMITS];
    if (available < needed) {
      handle.dispose();
      throw new LimitError(name, needed, available);
    }
  }
  return handle;
}

function adapterInfo(device: GPUDevice): GPUAdapterInfo | undefined {
  return (device as { adapterInfo?: GPUAdapterInfo }).adapterInfo;
}

async function openOwnDevice(options: DeviceOptions): Promise<DeviceHandle> {
  const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) throw new NoAdapterError("this platform has no WebGPU");
  const adapter = await gpu.requestAdapter({
    powerPreference: options.powerPreference ?? "high-performance",
  });
  if (!adapter) throw new NoAdapterError("WebGPU is present, but it offers no adapter");
  const requiredLimits: Record<string, number> = {};
  for (const name of RAISED_LIMITS) requiredLimits[name] = adapter.limits[name];
  try {
    const device = await adapter.requestDevice({
      label: "kfac-webgpu",
      requiredFeatures: OPTIONAL_FEATURES.filter((feature) => adapter.features.has(feature)),
      requiredLimits,
    });
    return new DeviceHandle(device, true, adapter.info);
  } catch (cause) {
    throw new NoAdapterError(`the adapter ${adapter.info.description} refused a device`, undefined, {
      cause,
    });
  }
}
