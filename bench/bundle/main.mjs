// The bundle's program: everything one after the other, each part in a process of its own, so that one that fails or hangs does
// not stop the rest. Results go to a folder.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findDrivers, probe } from "../../scripts/drivers.mjs";
import { startProgram } from "../../test/harness/program.mjs";
import { parse } from "../../test/harness/protocol.mjs";

const HELP = `./run [options]

  --quick            small sizes, few samples; of the tests those of the linear algebra
  --only A,B         of: machine, tests, verify, torch, bench
  --limit MINUTES    ends what is still running then (90)
  --out DIR          where results go (results beside this program)
  --tests A,B        only test files whose path contains one of these
  -- ...             further options of the benchmark, such as -- --only gram --cap 60

Exit status: 0 when all is well, 1 when tests, claims or results fail or are cut off by the limit, 2 for a wrong command line.
`;
const PARTS = ["machine", "tests", "verify", "torch", "bench"];

const app = fileURLToPath(new URL("../..", import.meta.url));
const path = (/** @type {string[]} */ ...parts) => join(app, ...parts);

/** @param {string[]} argv */
function options(argv) {
  const end = argv.indexOf("--");
  const { values } = parseArgs({
    args: end < 0 ? argv : argv.slice(0, end),
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: PARTS.join(",") },
      limit: { type: "string", default: "90" },
      out: { type: "string", default: path("..", "results") },
      tests: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const only = values.only.split(",");
  const unknown = only.find((name) => !PARTS.includes(name));
  if (unknown !== undefined) throw new Error(`--only takes ${PARTS.join(", ")}; got ${unknown}`);
  const limit = Number(values.limit);
  if (!(limit > 0)) throw new Error(`--limit must be a positive number, got ${values.limit}`);
  return {
    ...values,
    only,
    out: resolve(values.out),
    deadline: Date.now() + 60_000 * limit,
    tests: values.tests?.split(",") ?? (values.quick ? ["linalg"] : []),
    rest: end < 0 ? [] : argv.slice(end + 1),
  };
}

/**
 * Runs a program to its end or to the deadline. Everything it says goes to `file`, and to the terminal if `aloud`.
 * @param {string} command @param {readonly string[]} args
 * @param {{ deadline: number, file?: string, aloud?: boolean, env?: NodeJS.ProcessEnv, onLine?: (line: string) => string | undefined }} how
 *   `onLine` says what a line becomes
 * @returns {Promise<import("../../test/harness/program.mjs").End>}
 */
async function run(command, args, { deadline, file, aloud = true, env, onLine = (line) => line }) {
  const log = file ? createWriteStream(file) : undefined;
  const program = startProgram(command, args, {
    env: { ...process.env, ...env },
    onLine(line) {
      const text = onLine(line);
      if (text === undefined) return;
      log?.write(`${text}\n`);
      if (aloud) console.log(text);
    },
  });
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      program.end();
    },
    Math.max(1000, deadline - Date.now()),
  );
  const end = await program.ended;
  clearTimeout(timer);
  if (late) end.reason = "cut off by the time limit";
  if (log) {
    log.end(end.reason ? `${end.reason}\n` : "");
    await once(log, "close");
  }
  return end;
}

/** A driver whose manifest is missing, as in containers that are given the libraries only. @param {string} out */
function nameNvidia(out) {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  if (VK_DRIVER_FILES || VK_ICD_FILENAMES || findDrivers().some(({ id }) => id === "gpu")) return;
  if (!readdirSync("/dev").some((name) => /^nvidia\d/.test(name))) return;
  const library = text(["/sbin/ldconfig", "-p"])
    .split("\n")
    .map((line) => /libGLX_nvidia\.so\.0 .*=> (.*)/.exec(line)?.[1])
    .find(Boolean);
  if (!library) return;
  const manifest = join(out, "nvidia_icd.json");
  const ICD = { library_path: library, api_version: "1.3.0" };
  writeFileSync(manifest, JSON.stringify({ file_format_version: "1.0.0", ICD }));
  process.env.VK_ICD_FILENAMES = manifest;
  console.log(`No Vulkan manifest of the NVIDIA driver was found; using ${library}.`);
}

/** What a program prints, or why it does not. @param {string[]} command */
function text([program = "", ...args]) {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 30_000,
    }).trim();
  } catch (error) {
    return `${program}: ${error instanceof Error ? error.message.split("\n")[0] : error}`;
  }
}

/** @param {string} out */
function machine(out) {
  const bundle = existsSync(path("bundle.json")) ? readFileSync(path("bundle.json"), "utf8").trim() : "";
  const driver = findDrivers()[0];
  const lines = [
    new Date().toISOString(),
    `bundle: ${bundle}`,
    `${os.type()} ${os.release()} ${os.arch()}, ${os.availableParallelism()} cores of ${os.cpus()[0]?.model}, ${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    `load: ${os.loadavg().map((load) => load.toFixed(2))}`,
    `driver: ${driver ? `${driver.id}, ${driver.name}, ${driver.icd ?? ""}` : "none"}`,
    `adapter: ${driver ? JSON.stringify(probe(driver), null, 1) : "none"}`,
    text(["nvidia-smi"]),
    text([
      "nvidia-smi",
      "--query-gpu=name,driver_version,clocks.max.sm,power.limit,clocks.sm",
      "--format=csv",
    ]),
    text(["python3", "--version"]),
    text(["python3", "-c", "import torch; print('torch', torch.__version__, torch.version.cuda)"]),
  ];
  writeFileSync(join(out, "machine.txt"), `${lines.join("\n\n")}\n`);
  return driver;
}

/** @param {string[]} argv @returns {Promise<number>} */
async function main(argv) {
  const { quick, only, out, deadline, tests, rest, help } = options(argv);
  if (help) {
    process.stdout.write(HELP);
    return 0;
  }
  mkdirSync(out, { recursive: true });
  nameNvidia(out);
  const driver = machine(out);
  if (!driver)
    throw new Error("no WebGPU adapter: is there a Vulkan driver, and a loader (KFAC_VULKAN_LOADER)?");
  console.log(`${driver.id}: ${driver.name}; what there is to know is in ${join(out, "machine.txt")}`);
  const env = driver.env;
  const wanted = (/** @type {string} */ part) => only.includes(part);
  /** @type {(...args: string[]) => [command: string, args: string[]]} */
  const node = (...args) => [process.execPath, args];
  /** @type {string[]} */
  const outcomes = [];
  let failed = false;
  const note = (/** @type {string} */ part, /** @type {boolean} */ ok, /** @type {string} */ what) => {
    outcomes.push(`${ok ? "✓" : "✗"} ${part}: ${what}`);
    failed ||= !ok;
  };

  if (wanted("tests")) {
    const count = { passed: 0, failed: 0, skipped: 0 };
    let ended = false;
    const [command, args] = node(path("bench/bundle/tests.mjs"), driver.id, ...tests);
    const { reason } = await run(command, args, {
      deadline,
      env,
      file: join(out, "tests.txt"),
      onLine(line) {
        const event = parse(line);
        if (!event) return line;
        if (event.kind === "end") ended = true;
        if (event.kind === "adapter") return `on ${event.name}`;
        if (event.kind !== "result") return undefined;
        count[event.ok ? (event.skipped ? "skipped" : "passed") : "failed"]++;
        const mark = event.ok ? (event.skipped ? "-" : "✓") : "✗";
        const tail = event.skipped
          ? `: skipped, ${event.skipped}`
          : event.error
            ? `\n    ${event.error.replaceAll("\n", "\n    ")}`
            : "";
        return `${mark} ${event.file} › ${event.name} (${event.milliseconds} ms)${tail}`;
      },
    });
    const sum = `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
    const problem = reason ?? (ended ? "" : "ended before its last test");
    writeFileSync(join(out, "tests.txt"), `\n${sum}${problem ? `, ${problem}` : ""}\n`, { flag: "a" });
    note(
      "tests",
      count.failed === 0 && count.passed > 0 && !problem,
      `${sum}${problem ? `, ${problem}` : ""}`,
    );
  }
  if (wanted("verify")) {
    const [command, args] = node(path("bin/kfac.mjs"), "verify", "--json");
    const { code, reason } = await run(command, args, {
      deadline,
      env,
      file: join(out, "verify.json"),
      aloud: false,
    });
    note("verify", code === 0, reason ?? (code === 0 ? "every claim holds" : `exit status ${code}`));
  }
  const quickly = quick ? ["--quick"] : [];
  if (wanted("torch")) {
    const file = join(out, "torch.json");
    const { code, reason } = await run(
      process.env.PYTHON || "python3",
      [path("bench/torch_bench.py"), "--out", file, ...quickly],
      {
        deadline,
        file: join(out, "torch.txt"),
      },
    );
    if (code !== 0) writeFileSync(file, JSON.stringify({ rows: [], error: reason ?? `exit status ${code}` }));
    const { error } = JSON.parse(readFileSync(file, "utf8"));
    // A machine without PyTorch is no failure.
    note("torch", true, error ? `not measured: ${error}` : "measured");
  }
  if (wanted("bench")) {
    const [command, args] = node(path("bench/run.mjs"), "--no-install", "--out", out, ...quickly, ...rest);
    const { code, reason } = await run(command, args, { deadline, env });
    note("bench", code === 0, reason ?? (code === 0 ? "every result is right" : `exit status ${code}`));
  }
  const summary = outcomes.join("\n");
  writeFileSync(join(out, "summary.txt"), `${summary}\n`);
  console.log(`\n${summary}\nResults are in ${out}.`);
  return failed ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`run: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 2;
}
