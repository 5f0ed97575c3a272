/** The registry: what it takes, what it refuses, and that each built-in kind is whole. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { type Form, sizesOf } from "../../src/layers/form.js";
import {
  add,
  averagePool2d,
  concat,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  type LayerModule,
  layerKinds,
  leakyRelu,
  logistic,
  maxPool2d,
  oneHot,
  registerLayer,
  relu,
  tanh,
} from "../../src/layers/index.js";
import { kindOf } from "../../src/layers/registry.js";
import { opErrors } from "../../src/reference/graph-difference.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { isTensor, tensor, type Value } from "../../src/reference/tensor.js";
import { assert, assertEqual, assertThrows, kernelTest, type Random } from "../harness/kernel-test.js";

const vector: Form = { kind: "vector", features: 6 };
const image: Form = { kind: "image", channels: 3, height: 4, width: 5 };
const sequence: Form = { kind: "sequence", length: 4, features: 6 };
const words: Form = { kind: "indices", vocabulary: 5, length: 3 };
const index: Form = { kind: "indices", vocabulary: 5, length: undefined };
const forms = { vector, image, sequence, words, index };

/** Every built-in kind, what it takes and what it makes of that; all other forms are refused. */
const cases: Record<
  string,
  { module: LayerModule; inputs?: number; makes: Partial<Record<keyof typeof forms, string>> }
> = {
  dense: { module: dense(6, 2), makes: { vector: "vector 2", sequence: "sequence 4 positions,2" } },
  conv2d: { module: conv2d(3, 2, 3, { padding: 1, stride: 2 }), makes: { image: "image 2,2,3" } },
  relu: {
    module: relu(),
    makes: { vector: "vector 6", image: "image 3,4,5", sequence: "sequence 4 positions,6" },
  },
  leakyRelu: {
    module: leakyRelu(0.2),
    makes: { vector: "vector 6", image: "image 3,4,5", sequence: "sequence 4 positions,6" },
  },
  tanh: {
    module: tanh(),
    makes: { vector: "vector 6", image: "image 3,4,5", sequence: "sequence 4 positions,6" },
  },
  logistic: {
    module: logistic(),
    makes: { vector: "vector 6", image: "image 3,4,5", sequence: "sequence 4 positions,6" },
  },
  maxPool2d: { module: maxPool2d(2), makes: { image: "image 3,2,2" } },
  averagePool2d: { module: averagePool2d([2, 3], { stride: 1 }), makes: { image: "image 3,3,3" } },
  globalAveragePool: { module: globalAveragePool(), makes: { image: "vector 3", sequence: "vector 6" } },
  flatten: { module: flatten(), makes: { image: "vector 60", sequence: "vector 24" } },
  oneHot: { module: oneHot(), makes: { words: "sequence 3 positions,5", index: "vector 5" } },
  add: {
    module: add(),
    inputs: 3,
    makes: { vector: "vector 6", image: "image 3,4,5", sequence: "sequence 4 positions,6" },
  },
  concat: {
    module: concat(),
    inputs: 3,
    makes: { vector: "vector 18", image: "image 9,4,5", sequence: "sequence 4 positions,18" },
  },
};

kernelTest("layer kinds: there are no others, and each says what K-FAC does with it", () => {
  const names = layerKinds().map(({ kind }) => kind);
  assertEqual(
    names.slice(0, Object.keys(cases).length).sort().join(),
    Object.keys(cases).sort().join(),
    "kinds",
  );
  for (const { kind, treatment } of layerKinds()) assert(treatment.length > 5, `${kind}: ${treatment}`);
});

for (const [name, { module, inputs = 1, makes }] of Object.entries(cases)) {
  kernelTest(`layer kinds: ${name}, its forms and its twin`, (t) => {
    const kind = kindOf(module, "own");
    const random = t.random(3);
    for (const [what, form] of Object.entries(forms)) {
      const all = Array.from({ length: inputs }, () => form);
      const expected = makes[what as keyof typeof forms];
      if (expected === undefined) {
        assertThrows(() => kind.shape(module, all, "own"), ShapeError, /of own/);
        continue;
      }
      const made = kind.shape(module, all, "own");
      assertEqual(`${made.kind} ${sizesOf(made).join()}`, expected, what);
      const op = kind.twin(module, all);
      const values = all.map((own) => randomValue(random, own));
      const weights = kind.trainable ? weightsOf(random, module) : undefined;
      const { output } = op.forward(values, weights);
      const like = randomValue(random, made);
      assertEqual(sizes(output), sizes(like), `${what}: the twin's output`);
      const indices = form.kind === "indices" ? [0] : [];
      const errors = opErrors(op, values, weights, { indices });
      for (const error of [...errors.inputs, errors.gradient, errors.columns, errors.forward]) {
        assert(error < 1e-6, `${what}: the twin's derivatives are off by ${error}`);
      }
    }
  });
}

function randomValue(random: Random, form: Form): Value {
  const normals = (count: number) => Float64Array.from(random.normals(count));
  switch (form.kind) {
    case "vector":
      return matrix(2, form.features, normals(2 * form.features));
    case "image": {
      const { channels, height, width } = form;
      return tensor([2, channels, height, width], normals(2 * channels * height * width));
    }
    case "sequence":
      return tensor([2, form.features, 1, form.length], normals(2 * form.features * form.length));
    default: {
      const length = form.length ?? 1;
      const all = Float64Array.from({ length: 2 * length }, () => random.integer(form.vocabulary));
      return matrix(2, length, all);
    }
  }
}

function weightsOf(random: Random, module: LayerModule): Matrix {
  const {
    in: inputs,
    out,
    kernel = [1, 1],
  } = module as unknown as { in: number; out: number; kernel?: number[] };
  const columns = inputs * kernel[0]! * kernel[1]! + 1;
  return matrix(out, columns, Float64Array.from(random.normals(out * columns)));
}

function sizes(value: Value): string {
  return (isTensor(value) ? value.shape : [value.rows, value.cols]).join();
}

kernelTest("layer kinds: a name belongs to one kind", () => {
  const known = kindOf(dense(1, 1), "own");
  registerLayer(known);
  const before = layerKinds().length;
  for (const kind of ["dense", "tied"]) {
    assertThrows(() => registerLayer({ ...known, kind }), ArgumentError, new RegExp(`${kind} is taken`));
  }
  for (const kind of ["", undefined, 3]) {
    assertThrows(() => registerLayer({ ...known, kind: kind as string }), ArgumentError, /must be a name/);
  }
  assertEqual(layerKinds().length, before, "kinds");
});
