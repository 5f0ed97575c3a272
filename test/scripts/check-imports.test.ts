import { describe, expect, test } from "vitest";
import { violations } from "../../scripts/check-imports.mjs";

const tidy = {
  "src/errors.ts": "export class ShapeError extends Error {}",
  "src/index.ts": 'export * from "./network/index";',
  "src/device/index.ts": 'import { ShapeError } from "../errors";',
  "src/linalg/products/gram.ts":
    'import code from "../../shaders/gram.wgsl?raw";\nimport "../device";\nimport tgpu from "typegpu";',
  "src/network/index.ts": 'import type { Gram } from "../linalg/gram.ts";',
  "src/reference/gram.ts":
    'import { ShapeError } from "../errors.js";\nimport { uniform } from "../random/index";',
  "src/model/curved.ts": 'import type { Matrix } from "../linalg/layout/view.js";',
  "src/optimizers/directions/kfac.ts":
    'import type { Model } from "../../model/model";\nimport "../../curvature/x";',
  "src/layers/conv/conv.ts": 'import type { RecordedPass } from "../../memory/recorded-pass.js";',
  "src/cli/main.ts": 'const engine = await import("../index");',
};

describe("the direction of imports", () => {
  test("a tree in order has nothing to say", () => {
    expect(violations(tidy)).toEqual([]);
  });

  test.each([
    ["src/device/a.ts", 'import { x } from "../pipeline/b";', "device may not know pipeline"],
    ["src/pipeline/a.ts", 'import { x } from "../reference/gram";', "pipeline may not know reference"],
    ["src/pipeline/a.ts", 'import code from "../../shaders/a.wgsl?raw";', "pipeline may not know shaders"],
    ["src/reference/a.ts", 'import type { X } from "../linalg/gram";', "reference may not know linalg"],
    ["src/data/a.ts", 'export * from "../solve";', "data may not know solve"],
    ["src/random/a.ts", 'import { x } from "../reference/gram";', "random may not know reference"],
    ["src/linalg/a.ts", 'export { x } from "../host/x";', "linalg may not know host"],
    ["src/model/a.ts", 'import type { X } from "../memory/x";', "model may not know memory"],
    [
      "src/curvature/blocks/a.ts",
      'import type { X } from "../../layers/x";',
      "curvature may not know layers",
    ],
    ["src/layers/conv/a.ts", 'import type { X } from "../../network/x";', "layers may not know network"],
    ["src/optimizers/a.ts", 'import {\n  x,\n} from "../network";', "optimizers may not know network"],
    ["src/optimizers/a.ts", 'import type { X } from "../memory/x";', "optimizers may not know memory"],
    ["src/network/a.ts", 'import { x } from "../index";', "network may not know top"],
    ["src/linalg/a.ts", 'import { x } from "../../test/helper";', "linalg may not know test"],
    ["src/network/b.ts", 'import { x } from "../optimizers/sgd";', "network may not know optimizers"],
    ["src/solve/a.ts", 'import { x } from "../verify/x";', "solve may not know verify"],
    ["src/cli/a.ts", 'const x = await import("../../bench/jax");', "cli may not know bench"],
  ])("%s with %s", (file, text, message) => {
    const [first, ...rest] = violations({ ...tidy, [file]: text });
    expect(first).toContain(message);
    expect(rest).toEqual([]);
  });

  test("what a comment imports does not count", () => {
    const text = '// import "../network";\n/* for example:\n import { x } from "../network"; */\nexport {};';
    expect(violations({ ...tidy, "src/device/a.ts": text })).toEqual([]);
  });

  test("a room nobody planned is reported", () => {
    expect(violations({ ...tidy, "src/attic/a.ts": 'import "../errors";' })[0]).toContain('no room "attic"');
  });

  test("a ring is shown whole, once", () => {
    const ring = {
      "src/linalg/a.ts": 'import "./b";',
      "src/linalg/b.ts": 'import "./c";',
      "src/linalg/c.ts": 'import "./a";\nimport "./b";',
    };
    expect(violations(ring)).toEqual([
      "Ring of imports: src/linalg/a.ts → src/linalg/b.ts → src/linalg/c.ts → src/linalg/a.ts",
      "Ring of imports: src/linalg/b.ts → src/linalg/c.ts → src/linalg/b.ts",
    ]);
  });
});
