import tgpu, { d } from "typegpu";
import code from "../../../shaders/step_forms.wgsl?raw";
import { project } from "../../curvature/kernels/contract.js";
import { type Matrix, paddedLength, paddedView } from "../../linalg/index.js";
import type { Pass } from "../../model/index.js";
import { defineKernel, type Recorder } from "../../pipeline/index.js";

export const FormsProblem = d.struct({
  layers: d.u32,
  columns: d.u32,
  result: d.u32,
  scale: d.f32,
});

export const stepFormsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(FormsProblem), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    results: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const kernel = defineKernel({ name: "step_forms", code, layout: stepFormsLayout });

/**
 * Records U'CU, U'CV, V'CU and V'CV into four numbers of `into` from `result` on, C the curvature of a pass over the whole network,
 * blocks between layers counted: the generalised Gauss-Newton matrix for exact columns, an unbiased estimate of it for
 * Monte-Carlo ones. For models whose passes have no `curvatureAlong`. Directions are given a matrix a layer, out × in.
 *
 * @throws ArgumentError when the pass is over or was recorded without columns
 */
export function quadraticForms(
  recorder: Recorder,
  pass: Pass,
  [U, V]: readonly [readonly Matrix[], readonly Matrix[]],
  into: GPUBuffer,
  result: number,
): void {
  const layers = pass.layers.length;
  let y: GPUBuffer | undefined;
  let numbers = 0;
  let divisor = 1;
  for (const [l, layer] of pass.layers.entries()) {
    const { positions: T, out } = layer;
    const { rows: b, columns, count: N, divisor: own } = layer.curvatureRows(recorder);
    numbers = columns * N;
    divisor = own;
    y ??= recorder.scratch(2 * layers * numbers);
    for (const [d, direction] of [U, V].entries()) {
      const z = paddedView(recorder.scratch(paddedLength(N * T, out)), 0, N * T, out);
      layer.apply(recorder, direction[l]!, z);
      project(recorder, {
        examples: N,
        columns,
        positions: T,
        b,
        bSteps: { column: N * T, example: T, position: 1 },
        z,
        zSteps: { example: T, position: 1 },
        y,
        yOffset: (d * layers + l) * numbers,
      });
    }
  }
  if (!y) return;
  const problem = { layers, columns: numbers, result, scale: 1 / divisor };
  const problems = recorder.manager.table(FormsProblem, [problem]);
  recorder.dispatch(kernel, { problems, y, results: into }, 1);
}
