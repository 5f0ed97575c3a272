// Installs a browser and a software Vulkan driver with apt, where this is a Debian or an Ubuntu and we may.

import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/**
 * @typedef {{ id: string, codename: string }} System
 * @typedef {{ browser: boolean, lavapipe: boolean }} Wanted
 * @typedef {{ packages: string[], suite?: string, source?: string }} Step
 *   One apt-get install; with a suite and a source, that suite is read from a temporary source.
 */

const CHROMIUM = "chromium";
const MESA = "mesa-vulkan-drivers";

/** From here on Mesa's lavapipe is worth installing; a probe has the last word on whether Dawn takes it. */
const MESA_WORTHWHILE = 23;

/** @returns {System | undefined} when this is a system with apt on which we may install */
export function aptSystem() {
  if (process.platform !== "linux" || !existsSync("/usr/bin/apt-get") || process.env.KFAC_NO_INSTALL)
    return undefined;
  const release = Object.fromEntries(
    [...readFileSync("/etc/os-release", "utf8").matchAll(/^(\w+)="?(.*?)"?$/gm)].map(([, name, value]) => [
      name,
      value,
    ]),
  );
  const known = release.ID === "debian" || release.ID === "ubuntu";
  return known && prefix() ? { id: release.ID, codename: release.VERSION_CODENAME ?? "" } : undefined;
}

/** What to put before a command to run it as root; undefined when we may not. @returns {string[] | undefined} */
function prefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = spawnSync("sudo", ["-n", "true"], { stdio: "ignore" });
  return sudo.status === 0 ? ["sudo", "-n"] : undefined;
}

/**
 * Which installs serve the wish.
 * @param {System} system
 * @param {Wanted} wanted
 * @param {Record<string, string | undefined>} candidates the version apt would install, by package
 * @param {string[]} sources the texts of apt's source files
 * @returns {Step[]}
 */
export function planInstall(system, wanted, candidates, sources) {
  /** @type {Step[]} */
  const steps = [];
  if (wanted.lavapipe) {
    if (Number.parseInt(candidates[MESA] ?? "", 10) >= MESA_WORTHWHILE) steps.push({ packages: [MESA] });
    else if (system.id === "debian") {
      const suite = `${system.codename}-backports`;
      const source = backportsSource(sources, system.codename);
      if (source) steps.push({ packages: [MESA], suite, source });
    }
  }
  // On Ubuntu the package is a stub for a snap, which containers cannot run.
  if (wanted.browser && system.id === "debian" && candidates[CHROMIUM]) steps.push({ packages: [CHROMIUM] });
  return steps;
}

/**
 * The machine's own Debian source, as a deb822 stanza, with the suite changed to backports.
 * @param {string[]} sources
 * @param {string} codename
 * @returns {string | undefined}
 */
export function backportsSource(sources, codename) {
  const entries = sources.flatMap((text) => (/^\s*Types:/im.test(text) ? stanzas(text) : oneLiners(text)));
  const own = entries.filter(({ suites, components, uris }) => {
    return suites.includes(codename) && components.includes("main") && !uris.includes("security");
  });
  // A third party may have a suite of this name too; only Debian's archive has -updates beside it, or says so in its URI.
  const updates = entries
    .filter(({ suites }) => suites.includes(`${codename}-updates`))
    .map(({ uris }) => uris);
  const source =
    own.find(({ uris }) => updates.includes(uris)) ??
    own.find(({ uris }) => /\/debian\/?$/.test(uris)) ??
    own[0];
  if (!source) return undefined;
  const signed = source.signedBy ? `Signed-By: ${source.signedBy}\n` : "";
  return `Types: deb\nURIs: ${source.uris}\nSuites: ${codename}-backports\nComponents: main\n${signed}`;
}

/** @param {string} text deb822 stanzas */
function stanzas(text) {
  const blocks = text.replace(/^#.*\n/gm, "").split(/\n\s*\n/);
  return blocks.flatMap((block) => {
    // A value goes on over the following lines that begin with white space (a whole key may stand in Signed-By).
    const field = (/** @type {string} */ name) =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, "im").exec(block)?.[1]?.trim() ?? "";
    if (!field("Types").split(/\s+/).includes("deb") || /^no$/i.test(field("Enabled"))) return [];
    const [suites, components] = [field("Suites").split(/\s+/), field("Components").split(/\s+/)];
    return [
      { uris: field("URIs"), suites, components, signedBy: field("Signed-By").replace(/\n[ \t]*/g, "\n ") },
    ];
  });
}

/** @param {string} text lines of `deb [options] uri suite components` */
function oneLiners(text) {
  return [...text.matchAll(/^\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#\n]*)/gm)].map(
    ([, options = "", uris = "", suite = "", components = ""]) => {
      const signedBy = /signed-by=(\S+)/i.exec(options)?.[1] ?? "";
      return { uris, suites: [suite], components: components.trim().split(/\s+/), signedBy };
    },
  );
}

/**
 * @param {System} system
 * @param {Wanted} wanted
 * @param {(line: string) => void} say
 */
export function install(system, wanted, say) {
  if (system.id === "ubuntu" && !wanted.lavapipe) return; // its Chromium is a snap: there is nothing to ask for
  say("asking apt for what is missing, which takes a few minutes (KFAC_NO_INSTALL=1 forbids it)");
  aptGet(["update"]); // a third party's source that fails stops nothing: what can be installed decides
  const files = sourceFiles();
  const sources = files.map((file) => readFileSync(file, "utf8"));
  for (const step of planInstall(system, wanted, candidateVersions([CHROMIUM, MESA]), sources)) {
    say(`installing ${step.packages.join(", ")}${step.suite ? ` from ${step.suite}` : ""}`);
    const status =
      step.suite && step.source ? installFrom(step, files) : aptGet(["install", ...step.packages]);
    if (status !== 0) say(`apt could not install ${step.packages.join(", ")}`);
  }
}

/**
 * Install from a suite that apt's configuration does not name: apt is shown a copy of the sources with one more in it.
 * @param {Step} step
 * @param {string[]} files
 */
function installFrom({ packages, suite = "", source = "" }, files) {
  const folder = mkdtempSync(join(tmpdir(), "kfac-apt-"));
  try {
    for (const file of files) copyFileSync(file, join(folder, basename(file)));
    writeFileSync(join(folder, "kfac-backports.sources"), source);
    const options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${folder}`];
    aptGet([...options, "update"]);
    return aptGet([...options, "install", "-t", suite, ...packages]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sourceFiles() {
  const parts = "/etc/apt/sources.list.d";
  const names = existsSync(parts) ? readdirSync(parts).filter((name) => /\.(list|sources)$/.test(name)) : [];
  return ["/etc/apt/sources.list", ...names.map((name) => join(parts, name))].filter((file) =>
    existsSync(file),
  );
}

/** @param {string[]} packages @returns {Record<string, string | undefined>} */
function candidateVersions(packages) {
  const policy = execFileSync("apt-cache", ["policy", ...packages], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return Object.fromEntries(
    policy.split(/^(?=\S)/m).map((block) => {
      const version = /Candidate: (.*)/.exec(block)?.[1];
      return [block.split(":")[0], version === "(none)" ? undefined : version];
    }),
  );
}

/** @param {string[]} args @returns {number} the exit status; of apt's output only warnings and errors are shown */
function aptGet(args) {
  const options = [
    "-y",
    "-qq",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=120",
    "-o",
    "Dpkg::Use-Pty=0",
  ];
  const apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...options, ...args];
  const [command = "", ...rest] = [...(prefix() ?? []), ...apt];
  return spawnSync(command, rest, { stdio: ["ignore", "ignore", 2] }).status ?? 1;
}
