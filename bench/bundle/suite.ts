/** The kernel suite's entry in plain Node, without vitest; `tests.mjs` passes the options and reads the marked lines. */
import { nodeGpu } from "../../src/device/node.js";
import { MARK } from "../../test/harness/protocol.mjs";
import { runSuite, type SuiteOptions } from "../../test/harness/suite.js";

const options = JSON.parse(process.argv[2] ?? "{}") as SuiteOptions;

// The suite asks for WebGPU, and for errors that nobody caught, as in a page.
const gpu = await nodeGpu();
if (globalThis.navigator) Object.defineProperty(globalThis.navigator, "gpu", { value: gpu });
else Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "Node.js" } });
type Listener = (event: { reason?: unknown; error?: unknown; preventDefault(): void }) => void;
const listen = (type: string, listener: Listener) => {
  if (type === "unhandledrejection") {
    process.on("unhandledRejection", (reason) => listener({ reason, preventDefault() {} }));
  } else {
    process.on("uncaughtException", (error) => listener({ error, preventDefault() {} }));
  }
};
Object.defineProperty(globalThis, "addEventListener", { value: listen });

await runSuite(options, (event) => console.log(MARK + JSON.stringify(event)));
