/** What an adapter and its device can do, in the form that `engine.capabilities` and the doctor print. */
export interface Capabilities {
  /** The adapter in words, as its driver reports it: `llvmpipe … Mesa 25.0.7`. */
  readonly adapter: string;
  readonly vendor: string;
  readonly architecture: string;
  /** True on an adapter known to run on the CPU (lavapipe, SwiftShader, WARP). */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly timestamps: boolean;
  readonly subgroups: boolean;
  /** Lanes of every subgroup; 0 where there are no subgroups, or their size may vary. */
  readonly subgroupSize: number;
  readonly f16: boolean;
  readonly limits: {
    readonly maxBufferSize: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupsPerDimension: number;
    readonly maxStorageBuffersPerShaderStage: number;
  };
}

/** The features the engine asks for when the adapter has them. None is needed for correctness. */
export const OPTIONAL_FEATURES = ["timestamp-query", "subgroups", "shader-f16"] as const;

/** The limits the engine asks to have raised to what the adapter allows: large factors need large bindings. */
export const RAISED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
] as const;

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|warp/i;

/** Reads the capabilities of a device; `info` is its adapter's. */
export function capabilitiesOf(device: GPUDevice, info: GPUAdapterInfo | undefined): Capabilities {
  const words = [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean);
  const adapter = info?.description || info?.device || words.join(" ") || "unnamed adapter";
  const { limits } = device;
  return {
    adapter,
    vendor: info?.vendor ?? "",
    architecture: info?.architecture ?? "",
    software: SOFTWARE.test(words.join(" ")) || info?.isFallbackAdapter === true,
    features: [...device.features].sort(),
    timestamps: device.features.has("timestamp-query"),
    subgroups: device.features.has("subgroups"),
    subgroupSize: subgroupSizeOf(device, info),
    f16: device.features.has("shader-f16"),
    limits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    },
  };
}

function subgroupSizeOf(device: GPUDevice, info: GPUAdapterInfo | undefined): number {
  const { subgroupMinSize = 0, subgroupMaxSize } = info ?? {};
  return device.features.has("subgroups") && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0;
}
