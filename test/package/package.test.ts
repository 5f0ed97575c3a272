/** What gets published works for somebody who has nothing else. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, preview } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser/chromium.mjs";
import { createProject, type Project, root } from "./project.js";

let project: Project;

beforeAll(async () => {
  project = await createProject();
});

afterAll(() => project?.dispose());

test("the package holds all that it promises, and no more", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const exported = Object.values(manifest.exports)
    .flatMap((entry) => (typeof entry === "string" ? [entry] : Object.values(entry as object)))
    .filter((path) => !path.includes("*"))
    .map((path: string) => path.replace("./", ""));
  expect(project.files).toEqual(
    expect.arrayContaining([
      ...exported,
      "bin/kfac.mjs",
      "scripts/drivers.mjs",
      "scripts/enter-driver.mjs",
      "LICENSE",
    ]),
  );
  const shaders = readdirSync(join(root, "shaders")).filter((name) => name.endsWith(".wgsl"));
  expect(project.files).toEqual(expect.arrayContaining(shaders.map((name) => `shaders/${name}`)));
  expect(project.files.filter((name) => /(^|\/)(test|src|bench|demo)\//.test(name))).toEqual([]);
});

test("nothing in it names the machine it was built on", () => {
  const telling = project.files
    .filter((name) => /\.(js|mjs|ts|map|json)$/.test(name))
    .filter((name) =>
      readFileSync(join(project.folder, "node_modules/kfac-webgpu", name), "utf8").includes(root),
    );
  expect(telling).toEqual([]);
});

test("it works in Node", async () => {
  const answer = JSON.parse((await project.run(process.execPath, ["node.mjs"])).trim().split("\n").at(-1)!);
  expect(answer).toMatchObject({ product: 11, shader: true, kernels: true });
});

test("its command line starts", async () => {
  const bin = join(project.folder, "node_modules/kfac-webgpu/bin/kfac.mjs");
  expect(await project.run(process.execPath, [bin, "--help"])).toMatch(/kfac/);
});

test("its declarations serve both ways of resolving modules", async () => {
  const source = [
    'import { createEngine } from "kfac-webgpu";',
    'import { nodeGpu } from "kfac-webgpu/node";',
    'import { fromRows, matmul, type Matrix } from "kfac-webgpu/reference";',
    'import { paddedLength } from "kfac-webgpu/kernels";',
    "export const length: number = paddedLength(2, 3);",
    "export const product: Matrix = matmul(fromRows([[1]]), fromRows([[2]]));",
    "export const engine = await createEngine({ gpu: await nodeGpu() });",
    "engine.dispose();",
    "// @ts-expect-error: declarations that resolve to nothing would allow this",
    "engine.noSuchMember;",
  ];
  writeFileSync(join(project.folder, "types.ts"), source.join("\n"));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  for (const [module, resolution] of [
    ["esnext", "bundler"],
    ["nodenext", "nodenext"],
  ] as const) {
    const flags = [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--target",
      "es2022",
      "--lib",
      "es2022,dom,esnext.disposable",
    ];
    const types = ["--types", join(root, "node_modules/@webgpu/types")];
    const resolving = ["--module", module, "--moduleResolution", resolution];
    const output = await project
      .run(process.execPath, [compiler, ...flags, ...types, ...resolving, "types.ts"])
      .catch((error) => error.stdout as string);
    expect(output).toBe("");
  }
});

test("it works in a page bundled by Vite", async () => {
  const settings = { configFile: false, root: project.folder, logLevel: "error" } as const;
  await build({ ...settings, build: { target: "es2022" } });
  expect(existsSync(join(project.folder, "dist/index.html"))).toBe(true);
  const server = await preview({ ...settings, preview: { host: "localhost", port: 0 } });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    await page.goto(server.resolvedUrls!.local[0]!);
    const result = await page.evaluate(() => (globalThis as { result?: unknown }).result);
    expect(problems).toEqual([]);
    expect(result).toMatchObject({ product: 11, shader: true, kernels: true });
  } finally {
    await browser.close();
    await server.close();
  }
});
