// A vitest reporter that speaks the protocol of scripts/test.mjs.
import { relative } from "node:path";
import { root } from "./bundle.mjs";
import { send } from "./protocol.mjs";

/**
 * @typedef {import("vitest/node").Reporter} Reporter
 * @typedef {import("vitest/node").TestModule} TestModule
 * @typedef {import("vitest").TestError} TestError
 */

/** @implements {Reporter} */
export default class ProtocolReporter {
  /** @type {Set<string>} */
  #adapters = new Set();
  #filtered = false;

  /** @param {import("vitest/node").Vitest} vitest */
  onInit(vitest) {
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  /** @param {import("vitest/node").TestCase} testCase */
  onTestCaseResult(testCase) {
    /** What `announceAdapter` of runner.vitest.ts leaves. @type {{ adapter?: string }} */
    const { adapter } = /** @type {object} */ (testCase.meta());
    if (adapter && !this.#adapters.has(adapter)) {
      this.#adapters.add(adapter);
      send({ kind: "adapter", name: adapter });
    }
    const result = testCase.result();
    const event = {
      kind: /** @type {const} */ ("result"),
      file: relative(root, testCase.module.moduleId),
      name: testCase.fullName,
      milliseconds: Math.round(testCase.diagnostic()?.duration ?? 0),
    };
    if (result.state === "skipped") {
      // Tests that a name pattern left out look like skipped ones without a reason; they are no part of this run.
      if (result.note || !this.#filtered)
        send({ ...event, ok: true, skipped: result.note ?? "skipped in the file" });
    } else {
      send({ ...event, ok: result.state === "passed", error: result.errors?.map(describe).join("\n") });
    }
  }

  /** @param {TestModule} testModule */
  onTestModuleEnd(testModule) {
    for (const error of testModule.errors()) {
      const file = relative(root, testModule.moduleId);
      send({ kind: "result", file, name: "(the file)", ok: false, error: describe(error), milliseconds: 0 });
    }
  }

  /** @param {readonly TestModule[]} _modules @param {readonly TestError[]} unhandledErrors */
  onTestRunEnd(_modules, unhandledErrors) {
    for (const error of unhandledErrors) {
      const name = "(outside any test)";
      send({ kind: "result", file: "", name, ok: false, error: describe(error), milliseconds: 0 });
    }
    send({ kind: "end" });
  }
}

/** @param {TestError} error */
function describe(error) {
  const frames = (error.stacks ?? []).slice(0, 4);
  const where = frames.map(({ file, line, column }) => `\n    at ${relative(root, file)}:${line}:${column}`);
  const diff = error.diff ? `\n${error.diff}` : "";
  return `${error.name ?? "Error"}: ${error.message}${diff}${where.join("") || `\n${error.stack ?? ""}`}`;
}
