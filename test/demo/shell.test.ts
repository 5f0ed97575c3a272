import { expect, test } from "vitest";
import { useDemo } from "./harness.js";

const open = useDemo();

test("every chapter opens from the navigation", async () => {
  const demo = await open();
  for (const chapter of ["race", "convolution", "gpu", "linear"] as const) {
    await demo.visit(chapter);
    expect(await demo.page.$eval("nav [aria-current]", (link) => link.getAttribute("href"))).toBe(
      `#${chapter}`,
    );
  }
});
