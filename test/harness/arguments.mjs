// What the hosts outside of vitest take on their command line: the same two filters that vitest knows.
import { parseArgs } from "node:util";

/** @returns {{ files: string[], name: string | undefined }} */
export function suiteArguments() {
  const { values, positionals } = parseArgs({
    options: { testNamePattern: { type: "string", short: "t" } },
    allowPositionals: true,
  });
  return { files: positionals, name: values.testNamePattern };
}
