import tgpu, { d } from "typegpu";
import code from "../../../shaders/adam.wgsl?raw";
import type { Model } from "../../model/index.js";
import { defineKernel, type PipelineManager } from "../../pipeline/index.js";
import { type Direction, type DirectionContext, defineDirection } from "../direction.js";
import { Optimizer } from "../optimizer.js";
import { ADAM_OPTIONS, ADAMW_OPTIONS } from "../options.js";
import type { OptionsOf } from "../schema.js";
import { flatGroups } from "../settings.js";

export const AdamSettings = d.struct({
  length: d.u32,
  beta1: d.f32,
  beta2: d.f32,
  correction1: d.f32,
  correction2: d.f32,
  epsilon: d.f32,
});

export const adamLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: AdamSettings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    gradient: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    first: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    second: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const kernel = defineKernel({ name: "adam", code, layout: adamLayout });

/** Options of `Adam`. */
export interface AdamOptions extends OptionsOf<typeof ADAM_OPTIONS> {}

/** Options of `AdamW`. */
export interface AdamWOptions extends OptionsOf<typeof ADAMW_OPTIONS> {}

/** U is the first moment of G over the root of the second, both corrected for their start from zero. */
const moments = <S extends typeof ADAM_OPTIONS | typeof ADAMW_OPTIONS>({
  model: { gradients: gradient, length },
  memory,
}: DirectionContext<S>): Direction<typeof ADAM_OPTIONS> => {
  const first = memory.storage("first moment", length);
  const second = memory.storage("second moment", length);
  const update = memory.storage("update", length);
  const uniform = memory.settings("adam settings", AdamSettings);
  return {
    tensors: { first, second },
    recording: () => "",
    write({ number, settings: { beta1, beta2, epsilon } }) {
      const [correction1, correction2] = [1 - beta1 ** number, 1 - beta2 ** number];
      uniform.write({ length, beta1, beta2, correction1, correction2, epsilon });
    },
    record(recorder, { flags }) {
      const settings = uniform.buffer;
      recorder.dispatch(kernel, { settings, flags, gradient, first, second, update }, flatGroups(length));
      return { buffer: update, finite: true };
    },
  };
};

export const adam = defineDirection({ name: "adam", options: ADAM_OPTIONS, create: moments });

export const adamW = defineDirection({ name: "adamW", options: ADAMW_OPTIONS, create: moments });

/** Adam (Kingma & Ba 2015): the yardstick, on the same engine. */
export class Adam extends Optimizer<typeof adam> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold the moments */
  constructor(manager: PipelineManager, model: Model, options: AdamOptions = {}) {
    super(manager, model, adam, options);
  }
}

/** Adam with the weight decay beside the step, where the second moment does not weaken it (Loshchilov & Hutter 2019). */
export class AdamW extends Optimizer<typeof adamW> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold the moments */
  constructor(manager: PipelineManager, model: Model, options: AdamWOptions = {}) {
    super(manager, model, adamW, options);
  }
}
