import { DeviceHandle } from "./device.js";

/** What a dry device was asked for. */
export interface DryRun {
  readonly handle: DeviceHandle;
  /** Dispatches submitted so far. */
  readonly dispatches: number;
  /** The largest part of a buffer that was bound. */
  readonly largestBinding: { readonly label: string; readonly bytes: number };
}

/**
 * A device that makes nothing: it has the limits and features of another one, takes all calls that recording makes, and notes what they
 * ask for. Reads give zeros. To learn what something would need before any of it is made.
 */
export function dryRun(model: DeviceHandle): DryRun {
  const { limits, features } = model.device;
  let dispatches = 0;
  let largestBinding = { label: "", bytes: 0 };
  const ignore = () => {};
  const nothing = () => ({});
  const encoder = () => {
    let own = 0;
    const pass = {
      setPipeline: ignore,
      setBindGroup: ignore,
      end: ignore,
      dispatchWorkgroups: () => {
        own++;
      },
    };
    return {
      beginComputePass: () => pass,
      copyBufferToBuffer: ignore,
      clearBuffer: ignore,
      resolveQuerySet: ignore,
      finish: () => ({ dispatches: own }),
    };
  };
  const device = {
    label: "dry",
    limits,
    features,
    lost: new Promise(ignore),
    queue: {
      writeBuffer: ignore,
      submit: (commands: readonly { dispatches: number }[]) => {
        for (const one of commands) dispatches += one.dispatches;
      },
      onSubmittedWorkDone: async () => {},
    },
    createBuffer: ({ label = "", size, usage }: GPUBufferDescriptor) => ({
      ...{ label, size, usage, destroy: ignore, unmap: ignore, mapAsync: async () => {} },
      getMappedRange: (_offset = 0, bytes = size) => new ArrayBuffer(bytes),
    }),
    createBindGroup: ({ entries }: GPUBindGroupDescriptor) => {
      for (const { resource } of entries) {
        const { buffer, size = buffer.size } = resource as GPUBufferBinding;
        if (size > largestBinding.bytes) largestBinding = { label: buffer.label, bytes: size };
      }
      return {};
    },
    createBindGroupLayout: nothing,
    createPipelineLayout: nothing,
    createShaderModule: () => ({ getCompilationInfo: async () => ({ messages: [] }) }),
    createComputePipeline: nothing,
    createComputePipelineAsync: async () => ({}),
    createCommandEncoder: encoder,
    pushErrorScope: ignore,
    popErrorScope: async () => null,
    addEventListener: ignore,
    removeEventListener: ignore,
    destroy: ignore,
  };
  return {
    handle: new DeviceHandle(device as unknown as GPUDevice, false, undefined, { dryAs: model.capabilities }),
    get dispatches() {
      return dispatches;
    },
    get largestBinding() {
      return largestBinding;
    },
  };
}
