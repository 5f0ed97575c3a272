/** An empty project with the packed library in it, as a user would have. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findDrivers, nodeEnvironment } from "../../scripts/drivers.mjs";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Packages the consumer needs besides the library: linked from this checkout, so that nothing is downloaded. */
const LINKED = ["typegpu", "webgpu"];

const execute = promisify(execFile);

export interface Project {
  folder: string;
  /** What is in the package, relative to its root. */
  files: string[];
  run(program: string, args: string[]): Promise<string>;
  dispose(): void;
}

/** Packs (which builds), installs without the network, and copies the consumer's programs in. */
export async function createProject(): Promise<Project> {
  // Resolved, because on some systems the temporary folder is a link and bundlers then see two paths.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "kfac-package-")));
  const dispose = () => rmSync(folder, { recursive: true, force: true });
  try {
    return { ...(await fill(folder)), dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

async function fill(folder: string): Promise<Omit<Project, "dispose">> {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  await run(root, npm, ["pack", "--pack-destination", folder]);
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (!archive) throw new Error("npm pack made no archive");
  const links = Object.fromEntries(LINKED.map((name) => [name, `file:${join(root, "node_modules", name)}`]));
  const dependencies = { "kfac-webgpu": `file:${archive}`, ...links };
  const manifest = { name: "consumer", private: true, type: "module", dependencies };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest, null, 2));
  await run(folder, npm, ["install", "--offline", "--no-audit", "--no-fund"]);
  cpSync(join(root, "test/package/consumer"), folder, { recursive: true });
  const installed = join(folder, "node_modules/kfac-webgpu");
  return {
    folder,
    files: readdirSync(installed, { recursive: true }).map((name) => String(name).replaceAll("\\", "/")),
    run: (program, args) => run(folder, program, args),
  };
}

async function run(cwd: string, program: string, args: string[]): Promise<string> {
  const driver = findDrivers()[0];
  const env = { ...process.env, ...(driver ? nodeEnvironment(driver) : {}) };
  const shell = program.endsWith(".cmd");
  const { stdout } = await execute(program, args, { cwd, env, shell, maxBuffer: 2 ** 26 });
  return stdout;
}
