/** Random problems for `kfac newton`, as the file has them and as the reference takes them. */
import {
  type ConvNewtonOptions,
  convGeometry,
  matrix,
  RandomStream,
  tensor,
  toRows,
} from "../../src/reference/index.js";

export interface ProblemShape {
  N: number;
  C: number;
  size: [number, number];
  O: number;
  kernel: [number, number];
  /** 0 for no head. */
  outputs: number;
  seed: number;
  stride?: number | [number, number];
  padding?: number | [number, number];
  dilation?: number | [number, number];
  bias?: boolean;
  damping?: number;
}

export function convolutionProblem(shape: ProblemShape): {
  file: Record<string, unknown>;
  options: ConvNewtonOptions & { damping: number };
} {
  const { N, C, size, O, kernel, outputs, seed, bias = true, damping = 0 } = shape;
  const { stride = 1, padding = 0, dilation = 1 } = shape;
  const random = new RandomStream(seed);
  const normals = (count: number) => Float64Array.from({ length: count }, () => Math.fround(random.normal()));
  const geometry = convGeometry(
    { channels: C, height: size[0], width: size[1] },
    { kernel, stride, padding, dilation, bias },
  );
  const map = O * geometry.positions;
  const inputs = tensor([N, C, ...size], normals(N * C * size[0] * size[1]));
  const W = matrix(O, geometry.columns, normals(O * geometry.columns));
  const head = outputs > 0 ? matrix(outputs, map, normals(outputs * map)) : undefined;
  const target = matrix(N, outputs || map, normals(N * (outputs || map)));
  const rows = toRows(W);
  const each = C * kernel[0] * kernel[1];
  const nested = (values: ArrayLike<number>, sizes: readonly number[]): unknown => {
    const [first, ...rest] = sizes;
    if (rest.length === 0) return Array.from(values);
    const length = values.length / first!;
    return Array.from({ length: first! }, (_, k) =>
      nested(Array.from(values).slice(k * length, (k + 1) * length), rest),
    );
  };
  return {
    file: {
      inputs: nested(inputs.data, inputs.shape),
      kernel: rows.map((row) => nested(row.slice(0, each), [C, ...kernel])),
      ...(bias ? { bias: rows.map((row) => row[each]) } : {}),
      target: toRows(target),
      ...(head ? { head: toRows(head) } : {}),
      ...{ stride, padding, dilation, damping },
    },
    options: { inputs, W, head, target, kernel, stride, padding, dilation, bias, damping },
  };
}
