import { type CurvatureRows, type Curved, type Matrix, UnsupportedLayerError } from "kfac-webgpu";
import {
  defineKernel,
  type LayerKind,
  type RecordedPass,
  type Recorder,
  registerLayer,
  requireShape,
  type Site,
} from "kfac-webgpu/kernels";
import { isTensor, matrix, type ReferenceOp, type Value } from "kfac-webgpu/reference";
import tgpu, { d } from "typegpu";

interface ScaleShiftModule {
  readonly kind: "scaleShift";
  readonly name?: string;
}

/** z_j = s_j x_j + t_j for each number of a vector, each channel of an image or each feature of a sequence. W is n × 2: [s, t]. */
export function scaleShift(options: { name?: string } = {}): ScaleShiftModule {
  return { kind: "scaleShift", name: options.name };
}

const Problem = d.struct({
  rows: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  wOffset: d.u32,
  wStride: d.u32,
  zOffset: d.u32,
  zStride: d.u32,
  alpha: d.f32,
});

const layout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(Problem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    w: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    z: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

// `apply` and `back` take a row a workgroup; `pullback` a column of x and w (here derivatives in z), whose sums its first
// thread adds up in a fixed order.
const code = /* wgsl */ `
struct Problem {
  rows: u32, cols: u32,
  xOffset: u32, xStride: u32, wOffset: u32, wStride: u32, zOffset: u32, zStride: u32,
  alpha: f32,
}
@group(0) @binding(0) var<storage, read> problems: array<Problem>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
const THREADS = 64u;
var<workgroup> sums: array<vec2f, THREADS>;

@compute @workgroup_size(THREADS)
fn apply(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
         @builtin(local_invocation_index) thread: u32) {
  let p = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= p.rows) { return; }
  for (var j = thread; j < p.cols; j += THREADS) {
    let at = p.wOffset + j * p.wStride;
    z[p.zOffset + row * p.zStride + j] = fma(w[at], x[p.xOffset + row * p.xStride + j], w[at + 1u]);
  }
}

@compute @workgroup_size(THREADS)
fn back(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let p = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= p.rows) { return; }
  for (var j = thread; j < p.cols; j += THREADS) {
    z[p.zOffset + row * p.zStride + j] = w[p.wOffset + j * p.wStride] * x[p.xOffset + row * p.xStride + j];
  }
}

@compute @workgroup_size(THREADS)
fn pullback(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let p = problems[0];
  let j = id.x;
  var sum = vec2f();
  for (var row = thread; row < p.rows; row += THREADS) {
    let dz = w[p.wOffset + row * p.wStride + j];
    sum += dz * vec2f(x[p.xOffset + row * p.xStride + j], 1.0);
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread > 0u) { return; }
  var total = vec2f();
  for (var k = 0u; k < min(THREADS, p.rows); k++) { total += sums[k]; }
  z[p.zOffset + j * p.zStride] = p.alpha * total.x;
  z[p.zOffset + j * p.zStride + 1u] = p.alpha * total.y;
}
`;

const kernel = (entryPoint: string) => defineKernel({ name: "scale_shift", code, layout, entryPoint });
const kernels = { apply: kernel("apply"), back: kernel("back"), pullback: kernel("pullback") };

/** Records one of them; what `x`, `w` and `z` are is said above. */
function record(
  recorder: Recorder,
  entry: keyof typeof kernels,
  { x, w, z, alpha = 1 }: { x: Matrix; w: Matrix; z: Matrix; alpha?: number },
): void {
  const problems = recorder.manager.table(Problem, [
    {
      rows: x.rows,
      cols: x.cols,
      xOffset: x.offset,
      xStride: x.stride,
      wOffset: w.offset,
      wStride: w.stride,
      zOffset: z.offset,
      zStride: z.stride,
      alpha,
    },
  ]);
  const groups = entry === "pullback" ? x.cols : x.rows;
  recorder.dispatch(kernels[entry], { problems, x: x.buffer, w: w.buffer, z: z.buffer }, groups);
}

export const scaleShiftKind: LayerKind<ScaleShiftModule> = {
  kind: "scaleShift",
  treatment: "no Kronecker form: K-FAC takes it with a fallback",
  repeats: true,
  trainable: true,
  traits: { anyForm: true },
  shape: (_module, [input]) => input!,
  build: (module, site) => buildLayer(module, site),
  twin: () => twin,
};

function buildLayer(module: ScaleShiftModule, site: Site) {
  const { name, inputs } = site;
  const input = inputs[0]!;
  const output = site.output();
  const n = input.columns;
  const place = site.weights(n, 2);
  return {
    name,
    kind: module.kind,
    inputs,
    output,
    parameters: 2 * n,
    in: 2,
    out: n,
    // Each output reads an input of its own, so H is not one Kronecker product.
    withoutKronecker: "scaleShift, an input for each output",
    get W() {
      return place.W;
    },
    get G() {
      return place.G;
    },
    forward(recorder: Recorder, count: number) {
      record(recorder, "apply", { x: input.rows(count), w: place.W, z: output.rows(count) });
    },
    backward(recorder: Recorder, _count: number, rows: number) {
      if (!input.delta) return;
      record(recorder, "back", { x: output.deltas(rows), w: place.W, z: input.deltas(rows) });
    },
    tangent(recorder: Recorder, _count: number, rows: number) {
      record(recorder, "back", { x: input.tangents(rows), w: place.W, z: output.tangents(rows) });
    },
    gradient(recorder: Recorder, count: number, into: Matrix) {
      const [x, w] = [input.rows(count), output.deltas(count)];
      record(recorder, "pullback", { x, w, z: into, alpha: 1 / count });
      return [];
    },
    initialWeights: () => Float32Array.from({ length: 2 * n }, (_, k) => (k % 2 === 0 ? 1 : 0)),
    curvature: (pass: RecordedPass) => curvatureOf(name, { input, output }, pass),
  };
}

/** W is used at T positions of N examples, and each of its n rows reads inputs of its own: n groups. */
function curvatureOf(
  name: string,
  { input, output }: Record<"input" | "output", Site["inputs"][0]>,
  pass: RecordedPass,
): Curved {
  const [n, T] = [input.columns, input.positions];
  const { count } = pass;
  const refuse = (): never => {
    throw new UnsupportedLayerError(name, "scaleShift", 'use fallback: "diagonal" or "gradient"');
  };
  const checked = (method: string, V: Matrix, rows: Matrix) => {
    pass.requireCurrent(`${name}.${method}`);
    requireShape(`${name}.${method}`, "W", V, n, 2);
    requireShape(`${name}.${method}`, "rows", rows, count * T, n);
  };
  return {
    name,
    in: 2,
    out: n,
    count,
    positions: T,
    groups: n,
    inputs: refuse,
    outputs: refuse,
    apply(recorder, V, into) {
      checked("apply", V, into);
      record(recorder, "apply", { x: input.rows(count), w: V, z: into });
    },
    pullback(recorder, rows, into, alpha) {
      checked("pullback", into, rows);
      record(recorder, "pullback", { x: input.rows(count), w: rows, z: into, alpha });
    },
    curvatureRows(): CurvatureRows {
      const { first, columns, divisor } = pass.columnBlocks(`${name}.curvatureRows`);
      const all = output.deltas((first + columns) * count);
      const skipped = first * count * T;
      const rows = { ...all, offset: all.offset + skipped * all.stride, rows: all.rows - skipped };
      return { rows, columns, count, divisor };
    },
  };
}

/** In f64: values are N × n, or N × n × H × W with the positions last. */
const twin: ReferenceOp = {
  kind: "scaleShift",
  forward([input], weights) {
    const x = input!;
    const W = weights!.data;
    const [N, n] = isTensor(x) ? x.shape : [x.rows, x.cols];
    const T = x.data.length / (N * n);
    const channel = (k: number) => Math.floor(k / T) % n;
    const like = (data: Float64Array): Value => ({ ...x, data });
    const rowsOf = (data: Float64Array, j: number) => {
      return Array.from({ length: N }, (_, i) => data.slice((i * n + j) * T, (i * n + j + 1) * T));
    };
    return {
      output: like(x.data.map((value, k) => W[2 * channel(k)]! * value + W[2 * channel(k) + 1]!)),
      back: (dz) => [dz.map((value, k) => W[2 * channel(k)]! * value)],
      tangent: ([dx], V) =>
        dx!.map((value, k) => {
          const own = W[2 * channel(k)]! * value;
          return V ? own + V.data[2 * channel(k)]! * x.data[k]! + V.data[2 * channel(k) + 1]! : own;
        }),
      trainable: {
        groups: n,
        inputs: (group) => rowsOf(x.data, group).map((own) => matrix(2, T, [...own, ...own.map(() => 1)])),
        derivatives: (dz, group) => rowsOf(dz, group).map((own) => matrix(1, T, own)),
        gradient(dz) {
          const G = matrix(n, 2);
          dz.forEach((value, k) => {
            G.data[2 * channel(k)]! += value * x.data[k]!;
            G.data[2 * channel(k) + 1]! += value;
          });
          return G;
        },
      },
    };
  },
};

registerLayer(scaleShiftKind);
