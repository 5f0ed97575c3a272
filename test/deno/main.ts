/** The kernel suite's entry in Deno; `run.mjs` passes the options and reads the marked lines. */

import { MARK } from "../harness/protocol.mjs";
import { runSuite } from "../harness/suite.js";

declare const Deno: { args: string[] };

const options = JSON.parse(Deno.args[0] ?? "{}") as { from: number; files: string[]; name?: string };

await runSuite({ driver: "deno", ...options }, (event) => console.log(MARK + JSON.stringify(event)));
