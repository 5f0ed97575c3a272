import { describe, expect, it } from "vitest";
import { syntheticFolder } from "../data/idx-files.js";
import { run } from "./fake-environment.js";
import type { FakeHooks } from "./fake-library.js";

const data = syntheticFolder();
const compare = (...more: string[]) => [
  ...["compare", "--data", data, "--layers", "8", "--steps", "2", "--batch", "16", ...more],
];

describe("kfac compare", () => {
  it("prints a table for each layer", async () => {
    const hooks: FakeHooks = {};
    const { code, stdout, stderr } = await run(compare("--damping", "0.5"), { hooks });
    expect([code, hooks.open, hooks.compared?.count]).toEqual([0, 0, 16]);
    expect(stderr).toContain(`16-8-3 on ${data}, 2 steps of K-FAC, on fake adapter`);
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toBe("dense1: 8 × 17, 16 examples of 3 columns, λ 0.5, δ to 1.00e-6");
    expect(lines[1]).toMatch(/^ +error +size +cosine +own +best +at length +CG +seconds$/);
    expect(lines[3]).toMatch(/^none +– +– +0\.9000 +-0\.5000 +0\.8000 +0\.2500 +7 +–$/);
    expect(lines[4]).toMatch(/^expand +~0\.7000 +~0\.1000 +0\.9000 .* 7 +0\.0100$/);
  });

  it("--json has one object", async () => {
    const { code, stdout } = await run(compare("--json"));
    expect(code).toBe(0);
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ network: [16, 8, 3], steps: 2, batch: 16, damping: 0.01, data });
    expect(found.layers[0].approximations).toEqual([
      expect.objectContaining({ name: "none", error: null, seconds: null }),
      expect.objectContaining({
        name: "expand",
        error: 0.7,
        seconds: 0.01,
        cg: { status: "converged", iterations: 7, certificate: 1e-6 },
      }),
    ]);
  });

  it("stops when asked to", async () => {
    const { code, stdout } = await run(compare(), {
      onStep: (step, { signal }) => step === 1 && signal("SIGINT"),
    });
    expect([code, stdout]).toEqual([130, ""]);
  });

  it("refuses what it does not know", async () => {
    expect((await run(["compare", "--network", "cnn"])).code).toBe(2);
    expect((await run(compare("--damping", "0"))).stderr).toContain("--damping must be a number above 0");
  });
});
