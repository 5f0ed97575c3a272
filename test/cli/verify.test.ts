import { describe, expect, it } from "vitest";
import type { Certificate } from "../../src/verify/index.js";
import { run } from "./fake-environment.js";

const good: Certificate = {
  claim: "gram is AA'",
  sizes: "3 × 4",
  error: 1e-8,
  bound: 1e-6,
  held: "atMost",
  pass: true,
};
const gap: Certificate = { ...good, claim: "it is NOT exact", error: 0.5, bound: 0.02, held: "atLeast" };
const bad: Certificate = { ...good, sizes: "9 × 4", error: Number.NaN, pass: false };

describe("kfac verify", () => {
  it("prints every claim once with its sizes, and progress on stderr", async () => {
    const { code, stdout, stderr } = await run(["verify"], { hooks: { certificates: [good, gap, good] } });
    expect(code).toBe(0);
    expect(stderr).toBe(" 1/1  everything: 3 hold\n");
    expect(stdout.split("\n").slice(0, 5)).toEqual([
      "gram is AA'",
      "  3 × 4   1.0e-8 ≤ 1.0e-6   holds",
      "  3 × 4   1.0e-8 ≤ 1.0e-6   holds",
      "it is NOT exact",
      "  3 × 4   5.0e-1 ≥ 2.0e-2   holds",
    ]);
    expect(stdout).toContain("3 claims on fake adapter");
  });

  it("fails when a claim does", async () => {
    const hooks = { certificates: [good, bad], open: 0 };
    const { code, stdout, stderr } = await run(["verify"], { hooks });
    expect([code, hooks.open]).toEqual([1, 0]);
    expect(stdout).toContain("NaN ≤ 1.0e-6   FAILS");
    expect(stderr).toContain("1 of 2 FAIL");
    expect(stderr).toContain("kfac verify: 1 claim does not hold: gram is AA'.");
  });

  it("--json has one object with no number that is not one", async () => {
    const { code, stdout } = await run(["verify", "--json"], { hooks: { certificates: [gap, bad] } });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      adapter: "fake adapter",
      pass: false,
      certificates: [
        { claim: "it is NOT exact", held: "atLeast", pass: true },
        { sizes: "9 × 4", error: null, pass: false },
      ],
    });
  });
});
