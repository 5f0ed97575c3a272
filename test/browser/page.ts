/** The page that runs the kernel suite; `run.mjs` opens it, with the options in its address, and listens. */
import { runSuite, type SuiteEvent } from "../harness/suite.js";

declare global {
  /** Exposed by puppeteer. */
  function report(event: SuiteEvent): Promise<void>;
}

const parameters = new URLSearchParams(location.search);

await runSuite(
  {
    driver: "chromium",
    from: Number(parameters.get("from") ?? 0),
    files: parameters.getAll("file"),
    name: parameters.get("name") ?? undefined,
  },
  (event) => void report(event),
);
