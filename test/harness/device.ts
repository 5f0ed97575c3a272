import { announceAdapter, driver, gpu } from "#runner";
import { createEngine, type Engine } from "./engine.js";
import { timeLimit } from "./time-limit.js";

const FEATURES: GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
] as const;

/** A device under test, its engine, and what went wrong on it outside of any error scope. */
export interface TestDevice {
  readonly device: GPUDevice;
  readonly uncaptured: string[];
  /** Why this device must not be used again, if so. */
  spent: string | undefined;
  /** The engine, or what creating it threw: only tests that ask for it should fail. */
  readonly engine: { value?: Engine; error?: unknown };
  close(): Promise<void>;
}

/** Asks for everything the adapter has of the features and limits the library can use; `plain` asks for nothing. */
export async function openDevice(plain = false): Promise<TestDevice> {
  const adapter = await requestAdapter();
  const descriptor = plain
    ? {}
    : { requiredFeatures: featuresOf(adapter), requiredLimits: limitsOf(adapter) };
  const device = await timeLimit(adapter.requestDevice(descriptor), 30, "requestDevice");
  announceAdapter(adapterName(adapter));
  const opened: TestDevice = {
    device,
    uncaptured: [],
    spent: undefined,
    engine: {},
    async close() {
      opened.spent ??= "it was closed";
      opened.engine.value?.dispose();
      device.removeEventListener?.("uncapturederror", onError);
      device.destroy();
      // Dawn runs its clean-up in ticks; leaving before the loss is reported can crash the process on its way out.
      await timeLimit(device.lost, 5, "device.destroy()").catch(() => {});
    },
  };
  const onError = (event: Event) => opened.uncaptured.push((event as GPUUncapturedErrorEvent).error.message);
  device.addEventListener("uncapturederror", onError);
  device.lost.then((info) => {
    opened.spent ??= `it was lost (${info.reason}: ${info.message})`;
  });
  try {
    opened.engine.value = await createEngine(device);
  } catch (error) {
    opened.engine.error = error;
  }
  return opened;
}

export async function requestAdapter(): Promise<GPUAdapter> {
  const adapter = await timeLimit(
    Promise.resolve(gpu()?.requestAdapter({ powerPreference: "high-performance" }) ?? null),
    30,
    "requestAdapter",
  );
  if (!adapter) throw new Error(`no WebGPU adapter (${driver})`);
  return adapter;
}

function featuresOf(adapter: GPUAdapter): GPUFeatureName[] {
  return FEATURES.filter((feature) => adapter.features.has(feature));
}

function limitsOf(adapter: GPUAdapter): Record<string, number> {
  return Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]]));
}

function adapterName(adapter: GPUAdapter): string {
  const { vendor, architecture, device, description } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ");
  return name || "(unnamed adapter)";
}
