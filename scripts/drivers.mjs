// Which WebGPU drivers, browser and Deno this machine has. Plain Node, no dependencies: set-up runs it on a fresh clone
// and the published package ships it for the command line.

import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * @typedef {"gpu"|"lavapipe"|"swiftshader"} DriverId
 * @typedef {{ id: DriverId, name: string, icd?: string, version?: string, env: Record<string, string> }} Driver
 * @typedef {{ icds: string[], libraries: Record<string, string>, hasGpuNode: boolean, browserFolders: string[] }} Machine
 *   What a Linux machine offers: Vulkan manifests, the shared libraries the loader knows, GPU device nodes, and the
 *   folders where a browser keeps its SwiftShader.
 * @typedef {{ ok: boolean, error?: string, info?: Record<string, unknown>, features?: string[], limits?: Record<string, number> }} Probe
 */

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);

/** Mesa from here on has the dynamic indexing Dawn asks of lavapipe; anything older has to prove itself in a probe. */
export const MESA_TRUSTED = 24;

/** @returns {Driver[]} the drivers Node's Dawn can use, best first */
export function findDrivers() {
  const wanted = process.env.KFAC_DRIVER;
  const chosen = driverFromEnvironment();
  if (chosen) return [chosen];
  if (process.platform !== "linux") {
    return wanted && wanted !== "gpu" ? [] : [{ id: "gpu", name: "the system's GPU", env: {} }];
  }
  return driversOf(look(), wanted).filter(usable);
}

/**
 * The candidates of one machine, best first; pure but for the manifests it reads.
 * @param {Machine} machine
 * @param {string} [wanted] a driver id that leaves out all others
 * @returns {Driver[]}
 */
export function driversOf(machine, wanted) {
  /** @type {Driver[]} */
  const drivers = [];
  const hardware = machine.icds.filter((icd) => !isSoftware(icd));
  if (machine.hasGpuNode && hardware.length > 0) {
    // All of them: the loader skips those without a card, which is cheaper than guessing which card is which.
    drivers.push({ id: "gpu", name: "the system's GPU", icd: hardware.join(delimiter), env: {} });
  }
  for (const icd of machine.icds.filter((path) => /\/(lvp|lavapipe)[^/]*$/.test(path))) {
    const version = mesaVersion(libraryOf(icd, machine.libraries));
    drivers.push({ id: "lavapipe", name: `Mesa lavapipe ${version ?? ""}`.trim(), icd, version, env: {} });
    break;
  }
  const folder = machine.browserFolders.find(
    (path) =>
      existsSync(join(path, "vk_swiftshader_icd.json")) && existsSync(join(path, "libvk_swiftshader.so")),
  );
  if (folder) {
    const icd = join(folder, "vk_swiftshader_icd.json");
    drivers.push({ id: "swiftshader", name: "the browser's SwiftShader", icd, env: {} });
  }
  for (const driver of drivers) driver.env = nodeEnvironment(driver, machine);
  // Without a Vulkan loader, the system's or one beside the browser, no manifest is of any use.
  const hasLoader = machine.libraries["libvulkan.so.1"] !== undefined || loaderFolder(machine) !== undefined;
  return hasLoader ? drivers.filter((driver) => !wanted || driver.id === wanted) : [];
}

/**
 * The variables that make Node's Dawn load this driver and no other.
 * @param {Driver} driver
 * @param {Machine} [machine]
 * @returns {Record<string, string>}
 */
export function nodeEnvironment(driver, machine) {
  if (!driver.icd) return driver.env;
  /** @type {Record<string, string>} */
  const env = { VK_ICD_FILENAMES: driver.icd, VK_DRIVER_FILES: driver.icd };
  const { libraries, browserFolders } = machine ?? look();
  if (libraries["libvulkan.so.1"] === undefined) {
    const folder = loaderFolder({ browserFolders });
    const others = (process.env.LD_LIBRARY_PATH ?? "")
      .split(delimiter)
      .filter((path) => path && path !== folder);
    if (folder) env.LD_LIBRARY_PATH = [folder, ...others].join(delimiter);
  }
  return env;
}

/** @returns {{ path: string, version?: string } | undefined} the Chrome or Chromium to use */
export function findBrowser() {
  const named = [process.env.CHROME_PATH, process.env.PUPPETEER_EXECUTABLE_PATH].filter(Boolean);
  // A named browser wins even over a better one, and a wrong name is reported as missing rather than replaced.
  const candidates = named.length > 0 ? named : usualBrowsers();
  const path = candidates.find((candidate) => candidate && isExecutable(candidate));
  return path ? { path, version: browserVersion(path) } : undefined;
}

/** @returns {string | undefined} the Deno binary: the npm package's own, else the one on PATH */
export function findDeno() {
  const binary = process.platform === "win32" ? "deno.exe" : "deno";
  for (const modules of [join(root, "node_modules"), resolve(root, "..")]) {
    const scope = join(modules, "@deno");
    // The platform package holds the binary; the `deno` package links it only in an install script, which may not run.
    const path = list(scope)
      .map((platform) => join(scope, platform, binary))
      .find(isExecutable);
    if (path) return path;
  }
  return onPath(binary);
}

/**
 * Ask npm `webgpu` for an adapter on this driver, in a process of its own: a driver that crashes must not take us along.
 * @param {Driver} driver
 * @returns {Probe}
 */
export function probe(driver) {
  const path = webgpuPath();
  if (!path) return { ok: false, error: "the npm package `webgpu` is not installed" };
  const code = `
    const { create } = await import(${JSON.stringify(pathToFileURL(path).href)});
    globalThis.gpu = create([]); // kept: once it is collected, Node aborts
    const adapter = await gpu.requestAdapter();
    const read = (object) => Object.fromEntries(Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object)))
      .filter(([, property]) => property.get).map(([name]) => [name, object[name]]));
    if (!adapter) console.log(JSON.stringify({ ok: false, error: "no adapter" }));
    else console.log(JSON.stringify({ ok: true, info: read(adapter.info), features: [...adapter.features].sort(), limits: read(adapter.limits) }));
    process.exit(0);`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    env: { ...process.env, ...driver.env },
    encoding: "utf8",
    timeout: 60_000,
  });
  const answer = child.stdout?.split("\n").find((line) => line.startsWith('{"ok"'));
  if (answer) return JSON.parse(answer);
  const reason = child.signal
    ? `the driver died with ${child.signal}`
    : child.stderr?.trim().split("\n").at(-1);
  return { ok: false, error: reason || `the probe exited with ${child.status}` };
}

/**
 * A driver that the user picked through the Vulkan loader's own variables, which always win.
 * @returns {Driver | undefined}
 */
function driverFromEnvironment() {
  const icd = process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES;
  if (!icd || process.platform !== "linux") return undefined;
  const id = /swiftshader/i.test(icd) ? "swiftshader" : /lvp|lavapipe/i.test(icd) ? "lavapipe" : "gpu";
  const driver = {
    id: /** @type {DriverId} */ (id),
    name: `the Vulkan driver named in the environment`,
    icd,
    env: {},
  };
  return { ...driver, env: nodeEnvironment(driver) };
}

/** Whether Dawn takes it: known for new lavapipes and SwiftShader, else asked once. @param {Driver} driver */
function usable(driver) {
  if (driver.id === "swiftshader") return true;
  if (driver.id === "lavapipe" && Number.parseInt(driver.version ?? "", 10) >= MESA_TRUSTED) return true;
  const webgpu = webgpuPath();
  if (!webgpu) return true; // nobody to ask yet
  return remember(`probe ${driver.icd}`, [webgpu, ...(driver.icd ?? "").split(delimiter)], () => {
    const { ok, info } = probe(driver);
    return ok && !(driver.id === "gpu" && info?.isFallbackAdapter);
  });
}

function webgpuPath() {
  try {
    return require.resolve("webgpu");
  } catch {
    return undefined;
  }
}

/** @returns {Machine} */
function look() {
  const browser = usualBrowsers()
    .concat(process.env.CHROME_PATH ?? [])
    .filter(isExecutable)
    .map((path) => dirname(realpathSync(path)));
  const nodes = [
    ...list("/dev/dri").filter((name) => name.startsWith("renderD")),
    ...list("/dev").filter((name) => /^nvidia\d/.test(name)),
  ];
  const usual = [
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/usr/lib64/chromium-browser",
    "/opt/google/chrome",
  ];
  return {
    icds: manifests(),
    libraries: sharedLibraries(),
    hasGpuNode: nodes.length > 0,
    browserFolders: [...browser, ...usual],
  };
}

/** Vulkan's manifests for this machine's word size, in the loader's order. */
function manifests() {
  const home = process.env.XDG_DATA_HOME || join(homedir(), ".local/share");
  const shares = (process.env.XDG_DATA_DIRS || "/usr/local/share:/usr/share").split(":");
  const bases = [home, "/etc", ...shares, "/usr/local/nvidia/share", "/run/opengl-driver/share"];
  const folders = [...new Set(bases)].map((base) => join(base, "vulkan/icd.d"));
  return folders
    .flatMap((folder) =>
      list(folder)
        .sort()
        .map((name) => join(folder, name)),
    )
    .filter((path) => path.endsWith(".json") && !/i[36]86/.test(path));
}

/** @param {string} icd */
const isSoftware = (icd) => /\/(lvp|lavapipe|gfxstream|vk_swiftshader)[^/]*$/.test(icd);

/** What the dynamic linker would find, by name. @returns {Record<string, string>} */
function sharedLibraries() {
  const known = /** @type {Record<string, string>} */ ({});
  const ldconfig = ["/sbin/ldconfig", "/usr/sbin/ldconfig"].find(existsSync);
  if (ldconfig) {
    for (const line of spawnSync(ldconfig, ["-p"], { encoding: "utf8" }).stdout?.split("\n") ?? []) {
      const [, name, path] = /^\s*(\S*vulkan\S*) .*=> (.*)$/.exec(line) ?? [];
      if (name && path) known[name] ??= path;
    }
  }
  for (const folder of (process.env.LD_LIBRARY_PATH ?? "").split(delimiter).filter(Boolean)) {
    for (const name of list(folder).filter((entry) => entry.includes("vulkan")))
      known[name] ??= join(folder, name);
  }
  return known;
}

/** @param {{ browserFolders: string[] }} machine */
const loaderFolder = (machine) =>
  machine.browserFolders.find((path) => existsSync(join(path, "libvulkan.so.1")));

/** @param {string} icd @param {Record<string, string>} libraries @returns {string | undefined} */
function libraryOf(icd, libraries) {
  try {
    const path = JSON.parse(readFileSync(icd, "utf8")).ICD.library_path;
    if (isAbsolute(path)) return path;
    return path.includes("/") ? resolve(dirname(icd), path) : libraries[path];
  } catch {
    return undefined;
  }
}

/** Mesa writes its version into its libraries; there is no other place that every distribution shares. @param {string} [library] */
function mesaVersion(library) {
  if (!library || !existsSync(library)) return undefined;
  return remember(`version ${library}`, [library], () => {
    const bytes = readFileSync(library);
    for (let at = bytes.indexOf("Mesa "); at >= 0; at = bytes.indexOf("Mesa ", at + 5)) {
      const found = /^Mesa (\d+\.\d+\.\d+)/.exec(bytes.toString("latin1", at, at + 24));
      if (found) return found[1];
    }
    return undefined;
  });
}

function usualBrowsers() {
  if (process.platform === "darwin") {
    const apps = ["Google Chrome", "Chromium", "Google Chrome Canary"];
    return ["/Applications", join(homedir(), "Applications")].flatMap((folder) =>
      apps.map((app) => join(folder, `${app}.app/Contents/MacOS/${app}`)),
    );
  }
  if (process.platform === "win32") {
    const bases = [
      process.env.PROGRAMFILES,
      process.env["PROGRAMFILES(X86)"],
      process.env.LOCALAPPDATA,
    ].filter(Boolean);
    return bases.flatMap((base) =>
      ["Google/Chrome", "Chromium"].map((app) => join(base ?? "", app, "Application/chrome.exe")),
    );
  }
  const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
  return [...names.map(onPath).filter((path) => path !== undefined), "/opt/google/chrome/chrome"];
}

/** @param {string} path @returns {string | undefined} */
function browserVersion(path) {
  if (process.platform === "win32") return undefined; // Chrome on Windows opens a window instead of answering
  return remember(
    `version ${path}`,
    [path, join(dirname(realpathSync(path)), "chrome"), "/usr/lib/chromium/chromium"],
    () => {
      const answer = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 20_000 });
      return /\d+(\.\d+)+/.exec(answer.stdout ?? "")?.[0];
    },
  );
}

/** @param {string} name */
const onPath = (name) =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {string} folder @returns {string[]} */
function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const cacheFile = join(root, ".kfac/drivers.json");
// An installed package has no place of its own to write to; it goes without.
const caching = !root.includes("node_modules");

/**
 * The answer from last time while the files it depends on are unchanged.
 * @template T
 * @param {string} question
 * @param {string[]} files
 * @param {() => T} answer
 * @returns {T}
 */
function remember(question, files, answer) {
  if (!caching) return answer();
  const stamp = files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0).join(" ");
  const known = readCache();
  if (known[question]?.stamp === stamp) return known[question].value;
  const value = answer();
  try {
    mkdirSync(dirname(cacheFile), { recursive: true });
    const others = Object.entries(known).filter(
      ([
        ,
        {
          files: [file = ""],
        },
      ]) => existsSync(file),
    );
    writeFileSync(
      cacheFile,
      JSON.stringify({ ...Object.fromEntries(others), [question]: { files, stamp, value } }, null, 2),
    );
  } catch {
    // Read-only checkout: ask again next time.
  }
  return value;
}

/** @returns {Record<string, { files: string[], stamp: string, value: any }>} */
function readCache() {
  try {
    return JSON.parse(readFileSync(cacheFile, "utf8"));
  } catch {
    return {};
  }
}
