import type { Matrix } from "kfac-webgpu";
import {
  defineKernel,
  exampleRows,
  type Layer,
  type LayerKind,
  type Recorder,
  registerLayer,
} from "kfac-webgpu/kernels";
import tgpu, { d } from "typegpu";

/** The description: plain data, as a constructor of yours makes it. */
interface SoftplusModule {
  readonly kind: "softplus";
}

/** log(1 + e^z), element by element. */
export function softplus(): SoftplusModule {
  return { kind: "softplus" };
}

const Problem = d.struct({
  rows: d.u32,
  cols: d.u32,
  /** Rows of values; a pass has several derivatives of each, one block of rows after another. */
  examples: d.u32,
  valueOffset: d.u32,
  valueStride: d.u32,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  targetOffset: d.u32,
  targetStride: d.u32,
});

const layout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(Problem), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    result: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

// A workgroup takes one row, its threads walk along it. No e^z overflows: the exponent is never positive.
const code = /* wgsl */ `
struct Problem {
  rows: u32, cols: u32, examples: u32,
  valueOffset: u32, valueStride: u32,
  sourceOffset: u32, sourceStride: u32,
  targetOffset: u32, targetStride: u32,
}
@group(0) @binding(0) var<storage, read> problems: array<Problem>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
override THREADS: u32 = 64;

fn softplus(z: f32) -> f32 {
  return max(z, 0.0) + log(1.0 + exp(-abs(z)));
}

fn logistic(z: f32) -> f32 {
  let e = exp(-abs(z));
  return select(e, 1.0, z >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
           @builtin(local_invocation_index) thread: u32) {
  let problem = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= problem.rows) { return; }
  for (var j = thread; j < problem.cols; j += THREADS) {
    let z = values[problem.valueOffset + row * problem.valueStride + j];
    result[problem.targetOffset + row * problem.targetStride + j] = softplus(z);
  }
}

@compute @workgroup_size(THREADS)
fn back(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let problem = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= problem.rows) { return; }
  for (var j = thread; j < problem.cols; j += THREADS) {
    let z = values[problem.valueOffset + (row % problem.examples) * problem.valueStride + j];
    let derivative = source[problem.sourceOffset + row * problem.sourceStride + j];
    result[problem.targetOffset + row * problem.targetStride + j] = derivative * logistic(z);
  }
}
`;

const forwardKernel = defineKernel({ name: "softplus", code, layout, entryPoint: "forward", rowwise: true });
const backKernel = defineKernel({ name: "softplus", code, layout, entryPoint: "back", rowwise: true });

export const softplusKind: LayerKind<SoftplusModule> = {
  kind: "softplus",
  treatment: "nothing to train",
  repeats: true,
  traits: { anyForm: true },
  shape: (_module, [input]) => input!,
  build(module, { name, inputs, ...site }): Layer {
    const input = inputs[0]!;
    const output = site.output();
    const { positions } = input;
    /** Records into ← from ∘ φ'(Z): what goes back, and what goes along a direction. */
    const multiply = (recorder: Recorder, count: number, from: Matrix, into: Matrix) => {
      const Z = exampleRows(input.rows(count), positions);
      const source = exampleRows(from, positions);
      const target = exampleRows(into, positions);
      const problems = recorder.manager.table(Problem, [
        {
          rows: source.rows,
          cols: source.cols,
          examples: count,
          valueOffset: Z.offset,
          valueStride: Z.stride,
          sourceOffset: source.offset,
          sourceStride: source.stride,
          targetOffset: target.offset,
          targetStride: target.stride,
        },
      ]);
      const bindings = { problems, values: Z.buffer, source: source.buffer, result: target.buffer };
      recorder.dispatch(backKernel, bindings, source.rows);
    };
    return {
      name,
      kind: module.kind,
      parameters: 0,
      inputs,
      output,
      forward(recorder, count) {
        const Z = exampleRows(input.rows(count), positions);
        const A = exampleRows(output.rows(count), positions);
        const problems = recorder.manager.table(Problem, [
          {
            rows: Z.rows,
            cols: Z.cols,
            examples: count,
            valueOffset: Z.offset,
            valueStride: Z.stride,
            sourceOffset: 0,
            sourceStride: 0,
            targetOffset: A.offset,
            targetStride: A.stride,
          },
        ]);
        // What an entry point does not read is stood in for.
        const bindings = { problems, values: Z.buffer, source: Z.buffer, result: A.buffer };
        recorder.dispatch(forwardKernel, bindings, Z.rows);
      },
      backward(recorder, count, rows) {
        if (input.delta) multiply(recorder, count, output.deltas(rows), input.deltas(rows));
      },
      tangent(recorder, count, rows) {
        multiply(recorder, count, input.tangents(rows), output.tangents(rows));
      },
    };
  },
  twin: () => ({
    kind: "softplus",
    forward([input]) {
      const data = input!.data.map((z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))));
      return {
        output: { ...input!, data },
        back: (dA) => [dA.map((x, k) => x / (1 + Math.exp(-input!.data[k]!)))],
        tangent: ([dZ]) => dZ!.map((x, k) => x / (1 + Math.exp(-input!.data[k]!))),
      };
    },
  }),
};

registerLayer(softplusKind);
