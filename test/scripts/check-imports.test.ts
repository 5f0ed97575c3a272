import { describe, expect, test } from "vitest";
import { roomOf, violations } from "../../scripts/check-imports.mjs";

const tidy = {
  "src/errors.ts": "export class ShapeError extends Error {}",
  "src/index.ts": 'export * from "./network/index";',
  "src/device/index.ts": 'import { ShapeError } from "../errors";',
  "src/linalg/products/gram.ts":
    'import code from "../../shaders/gram.wgsl?raw";\nimport "../device";\nimport tgpu from "typegpu";',
  "src/network/index.ts": 'import type { Gram } from "../linalg/gram.ts";',
  "src/reference/gram.ts": 'import { ShapeError } from "../errors.js";',
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
    ["src/data/a.ts", 'export * from "../device";', "data may not know device"],
    ["src/optimizer/a.ts", 'import {\n  x,\n} from "../network";', "optimizer may not know network"],
    ["src/network/a.ts", 'import { x } from "../index";', "network may not know top"],
    ["src/linalg/a.ts", 'import { x } from "../../test/helper";', "linalg may not know test"],
    ["src/cli/a.ts", 'const x = await import("../adapters/jax");', "cli may not know adapters"],
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

  test("rooms", () => {
    expect(["src/errors.ts", "src/engine.ts", "src/linalg/x/y.ts", "shaders/gram.wgsl"].map(roomOf)).toEqual([
      "errors",
      "top",
      "linalg",
      "shaders",
    ]);
  });
});
