import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { driversOf, findBrowser, findDrivers, nodeEnvironment } from "../../scripts/drivers.mjs";

let folder = "";
const put = (name: string, text: string) => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
  return path;
};
const manifest = (name: string, library: string) =>
  put(`icd.d/${name}`, JSON.stringify({ ICD: { library_path: library } }));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kfac-drivers-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

/** A Linux machine with everything: a card, lavapipe, a browser with SwiftShader, the system's loader. */
function machine() {
  const lavapipe = put("lib/libvulkan_lvp.so", "\0ELF\0Mesa Project\0Mesa 25.0.7-2 (LLVM 15)\0");
  const icds = [
    manifest("lvp_icd.json", "libvulkan_lvp.so"),
    manifest("nvidia_icd.json", "libGLX_nvidia.so.0"),
  ];
  put("browser/vk_swiftshader_icd.json", "{}");
  put("browser/libvk_swiftshader.so", "");
  put("browser/libvulkan.so.1", "");
  return {
    icds,
    libraries: { "libvulkan_lvp.so": lavapipe, "libvulkan.so.1": "/lib/libvulkan.so.1" } as Record<
      string,
      string
    >,
    hasGpuNode: true,
    browserFolders: [join(folder, "browser")],
  };
}

describe.skipIf(process.platform !== "linux")("drivers of a Linux machine", () => {
  test("best first, each with its manifest", () => {
    const drivers = driversOf(machine());
    expect(drivers.map(({ id }) => id)).toEqual(["gpu", "lavapipe", "swiftshader"]);
    expect(drivers[0]?.icd).toBe(join(folder, "icd.d/nvidia_icd.json"));
    expect(drivers[1]).toMatchObject({
      version: "25.0.7",
      env: { VK_ICD_FILENAMES: join(folder, "icd.d/lvp_icd.json") },
    });
    expect(drivers[2]?.env).toEqual({
      VK_ICD_FILENAMES: join(folder, "browser/vk_swiftshader_icd.json"),
      VK_DRIVER_FILES: join(folder, "browser/vk_swiftshader_icd.json"),
    });
  });

  test("a hardware manifest without a device node is no GPU", () => {
    expect(driversOf({ ...machine(), hasGpuNode: false }).map(({ id }) => id)).toEqual([
      "lavapipe",
      "swiftshader",
    ]);
  });

  test("a wanted driver leaves out the others", () => {
    expect(driversOf(machine(), "swiftshader").map(({ id }) => id)).toEqual(["swiftshader"]);
  });

  test("without the system's loader, the browser's is put on the linker's path", () => {
    const bare = { ...machine(), libraries: {} };
    vi.stubEnv("LD_LIBRARY_PATH", "/opt/lib");
    expect(driversOf(bare).at(-1)?.env.LD_LIBRARY_PATH).toBe(`${join(folder, "browser")}:/opt/lib`);
  });

  test("no loader at all, no driver", () => {
    const bare = { ...machine(), libraries: {} };
    rmSync(join(folder, "browser/libvulkan.so.1"));
    expect(driversOf(bare)).toEqual([]);
  });

  test("a driver named in the loader's own variables wins", () => {
    vi.stubEnv("VK_ICD_FILENAMES", "/opt/vk_swiftshader_icd.json");
    vi.stubEnv("VK_DRIVER_FILES", "");
    expect(findDrivers()).toMatchObject([{ id: "swiftshader", icd: "/opt/vk_swiftshader_icd.json" }]);
  });

  test("a driver without a manifest needs no environment", () => {
    expect(nodeEnvironment({ id: "gpu", name: "", env: {} })).toEqual({});
  });

  test("a browser named in the environment wins, and a wrong name is not replaced", () => {
    const path = put("my-chrome", "#!/bin/sh\necho Chromium 156.0.1.2\n");
    vi.stubEnv("CHROME_PATH", path);
    expect(findBrowser()).toEqual({ path, version: "156.0.1.2" });
    vi.stubEnv("CHROME_PATH", join(folder, "nowhere"));
    vi.stubEnv("PUPPETEER_EXECUTABLE_PATH", "");
    expect(findBrowser()).toBeUndefined();
  });
});
