/** Opening devices and losing them, on fakes: no GPU is needed to see what callers are told. */
import { describe, expect, it, vi } from "vitest";
import { capabilitiesOf } from "../../src/device/capabilities.js";
import { DeviceHandle, openDevice } from "../../src/device/index.js";
import { DeviceLostError, LimitError, NoAdapterError } from "../../src/errors.js";

/** WebGPU's default limits, as far as they matter here. */
const LIMITS = {
  maxBufferSize: 256 * 1024 * 1024,
  maxStorageBufferBindingSize: 128 * 1024 * 1024,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBuffersPerShaderStage: 8,
};

interface FakeDevice extends GPUDevice {
  lose(reason: GPUDeviceLostReason, message: string): void;
  destroyed: number;
}

function fakeDevice(limits: Partial<typeof LIMITS> = {}, more: object = {}): FakeDevice {
  let lose: (info: GPUDeviceLostInfo) => void = () => {};
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
    lose = resolve;
  });
  const device = {
    limits: { ...LIMITS, ...limits },
    features: new Set<string>(),
    lost,
    destroyed: 0,
    destroy() {
      device.destroyed++;
      lose({ reason: "destroyed", message: "destroyed" } as GPUDeviceLostInfo);
    },
    lose: (reason: GPUDeviceLostReason, message: string) => lose({ reason, message } as GPUDeviceLostInfo),
    ...more,
  };
  return device as unknown as FakeDevice;
}

/** A WebGPU whose adapter gives `device` or throws it, where it is an error. */
function fakeGpu(
  device: GPUDevice | Error,
  adapterLimits: Partial<typeof LIMITS> = {},
  features: string[] = [],
) {
  const requestDevice = vi.fn(async (_: GPUDeviceDescriptor) => {
    if (device instanceof Error) throw device;
    return device;
  });
  const adapter = {
    limits: { ...LIMITS, ...adapterLimits },
    features: new Set(features),
    info: { vendor: "acme", architecture: "one", device: "", description: "Acme One" },
    requestDevice,
  };
  const requestAdapter = vi.fn(async (_?: GPURequestAdapterOptions) => adapter);
  return { gpu: { requestAdapter } as unknown as GPU, requestAdapter, requestDevice };
}

/** What the promise has come to by now, without waiting. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 5, "pending"))]);
}

describe("opening a device", () => {
  it("says that there is no adapter", async () => {
    const gpu = { requestAdapter: async () => null } as unknown as GPU;
    const error = await openDevice({ gpu }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NoAdapterError);
    expect(error).toMatchObject({
      code: "no-adapter",
      reason: "WebGPU is present, but it offers no adapter",
    });
    expect((error as Error).message).toMatch(/use a browser with WebGPU enabled or, in Node, install/);
  });

  it("says that there is no WebGPU at all", async () => {
    vi.stubGlobal("navigator", {});
    try {
      await expect(openDevice()).rejects.toThrow(NoAdapterError);
      await expect(openDevice()).rejects.toThrow(/this platform has no WebGPU/);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("names the adapter that refuses a device, and keeps the cause", async () => {
    const cause = new TypeError("no more devices");
    const error = await openDevice({ gpu: fakeGpu(cause).gpu }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NoAdapterError);
    expect((error as NoAdapterError).reason).toBe("the adapter Acme One refused a device");
    expect((error as Error).cause).toBe(cause);
  });

  it("asks for the raised limits and the optional features of the adapter, and no other", async () => {
    const { gpu, requestAdapter, requestDevice } = fakeGpu(fakeDevice(), { maxBufferSize: 2 ** 31 }, [
      "timestamp-query",
      "shader-f16",
      "texture-compression-bc",
    ]);
    const handle = await openDevice({ gpu, powerPreference: "low-power" });
    expect(requestAdapter).toHaveBeenCalledWith({ powerPreference: "low-power" });
    const asked = requestDevice.mock.calls[0]![0];
    expect(asked.requiredFeatures).toEqual(["timestamp-query", "shader-f16"]);
    expect(asked.requiredLimits).toMatchObject({
      maxBufferSize: 2 ** 31,
      maxStorageBuffersPerShaderStage: 8,
    });
    expect(handle.owned).toBe(true);
    expect(handle.capabilities.adapter).toBe("Acme One");
  });

  const tooSmall = [
    ["maxStorageBuffersPerShaderStage", 7, 8],
    ["maxComputeWorkgroupStorageSize", 16383, 16384],
    ["maxComputeInvocationsPerWorkgroup", 128, 256],
    ["maxStorageBufferBindingSize", 2 ** 20, 2 ** 24],
  ] as const;
  for (const [limit, available, needed] of tooSmall) {
    it(`refuses a device whose ${limit} is too small`, async () => {
      const borrowed = fakeDevice({ [limit]: available });
      const error = await openDevice({ device: borrowed }).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(LimitError);
      expect(error).toMatchObject({ limit, available, needed });
      expect(borrowed.destroyed).toBe(0);
      const own = fakeDevice({ [limit]: available });
      await expect(openDevice({ gpu: fakeGpu(own).gpu })).rejects.toThrow(LimitError);
      expect(own.destroyed).toBe(1);
    });
  }

  it("accepts WebGPU's default limits", async () => {
    const handle = await openDevice({ device: fakeDevice() });
    expect(handle.owned).toBe(false);
    expect(() => handle.assertUsable()).not.toThrow();
  });
});

describe("losing a device", () => {
  for (const owned of [false, true]) {
    it(`is announced once, and every call then throws (${owned ? "our own" : "borrowed"})`, async () => {
      const device = fakeDevice();
      const handle = new DeviceHandle(device, owned, undefined);
      expect(await stateOf(handle.lost)).toBe("pending");
      device.lose("unknown", "the driver crashed");
      const error = await handle.lost;
      expect(error).toBeInstanceOf(DeviceLostError);
      expect(error).toMatchObject({ code: "device-lost", reason: "the driver crashed" });
      expect(() => handle.assertUsable()).toThrow(error);
      handle.dispose();
      expect(() => handle.assertUsable()).toThrow(/the driver crashed/);
    });
  }

  it("has a reason even where the browser gives none", async () => {
    const device = fakeDevice();
    const handle = new DeviceHandle(device, false, undefined);
    device.lose(undefined as unknown as GPUDeviceLostReason, "");
    expect((await handle.lost).message).toMatch(/lost \(no reason given\); create a new engine/);
  });

  it("explains errors that follow from it, and leaves others as they are", async () => {
    const device = fakeDevice();
    const handle = new DeviceHandle(device, false, undefined);
    const other = new Error("mapping failed");
    expect(await handle.explain(other)).toBe(other);
    // Operations fail a moment before the loss itself is reported.
    const explained = handle.explain(other);
    setTimeout(() => device.lose("unknown", "gone"), 10);
    expect(await explained).toBeInstanceOf(DeviceLostError);
  });

  it("waits longer for the loss where something was aborted, since nothing else aborts", async () => {
    vi.useFakeTimers();
    try {
      const device = fakeDevice();
      const handle = new DeviceHandle(device, false, undefined);
      const aborted = Object.assign(new Error("mapping was aborted"), { name: "AbortError" });
      const explained = handle.explain(aborted);
      await vi.advanceTimersByTimeAsync(5000);
      device.lose("unknown", "gone");
      expect(await explained).toBeInstanceOf(DeviceLostError);
      const never = new DeviceHandle(fakeDevice(), false, undefined).explain(aborted);
      await vi.advanceTimersByTimeAsync(30_000);
      expect(await never).toBe(aborted);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("disposing of a handle", () => {
  it("destroys a device of our own, once, and is no loss", async () => {
    const device = fakeDevice();
    const handle = new DeviceHandle(device, true, undefined);
    handle.dispose();
    handle.dispose();
    expect(device.destroyed).toBe(1);
    expect(await stateOf(handle.lost)).toBe("pending");
    expect(() => handle.assertUsable()).toThrow(DeviceLostError);
    expect(() => handle.assertUsable()).toThrow(/the engine was disposed/);
  });

  it("leaves a borrowed device alone", async () => {
    const device = fakeDevice();
    const before = Object.keys(device).sort();
    const handle = new DeviceHandle(device, false, undefined);
    handle.dispose();
    expect(device.destroyed).toBe(0);
    expect(Object.keys(device).sort()).toEqual(before);
    expect(await stateOf(device.lost)).toBe("pending");
    expect(() => handle.assertUsable()).toThrow(/the engine was disposed/);
  });

  it("explains what fails afterwards, and keeps the cause", async () => {
    const handle = new DeviceHandle(fakeDevice(), false, undefined);
    handle.dispose();
    const cause = new Error("mapping failed");
    const error = await handle.explain(cause);
    expect(error).toBeInstanceOf(DeviceLostError);
    expect((error as Error).cause).toBe(cause);
  });
});

describe("capabilities", () => {
  const info = (fields: Partial<GPUAdapterInfo>) => fields as GPUAdapterInfo;

  it("know software adapters", () => {
    const software = (fields: Partial<GPUAdapterInfo>) => capabilitiesOf(fakeDevice(), info(fields)).software;
    expect(software({ description: "llvmpipe (LLVM 15.0.6, 256 bits)" })).toBe(true);
    expect(software({ vendor: "google", architecture: "swiftshader" })).toBe(true);
    expect(software({ description: "Microsoft Basic Render Driver" })).toBe(true);
    expect(software({ description: "Some Card", isFallbackAdapter: true })).toBe(true);
    expect(software({ vendor: "nvidia", architecture: "hopper", description: "NVIDIA H100" })).toBe(false);
    expect(software({})).toBe(false);
  });

  it("name the adapter by what is known of it", () => {
    const name = (fields: Partial<GPUAdapterInfo> | undefined) =>
      capabilitiesOf(fakeDevice(), fields && info(fields)).adapter;
    expect(name({ vendor: "acme", description: "Acme One" })).toBe("Acme One");
    expect(name({ vendor: "acme", architecture: "one", device: "", description: "" })).toBe("acme one");
    expect(name(undefined)).toBe("unnamed adapter");
  });

  it("list features and limits", () => {
    const device = fakeDevice({}, { features: new Set(["subgroups", "shader-f16"]) });
    const capabilities = capabilitiesOf(device, undefined);
    expect(capabilities.features).toEqual(["shader-f16", "subgroups"]);
    expect(capabilities).toMatchObject({ timestamps: false, subgroups: true, f16: true });
    expect(capabilities.limits.maxStorageBufferBindingSize).toBe(LIMITS.maxStorageBufferBindingSize);
  });
});
