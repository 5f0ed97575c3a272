// The results as a file.
import type { Capabilities, Certificate, Engine } from "kfac-webgpu";
import { version } from "../../../package.json";
import type { BenchmarkRow } from "./benchmark/index.js";

export interface Report {
  library: string;
  version: string;
  date: string;
  browser: string;
  adapter: Capabilities;
  certificates: readonly Certificate[];
  benchmark: readonly BenchmarkRow[];
}

export function reportOf(
  engine: Engine,
  results: { certificates?: readonly Certificate[]; benchmark?: readonly BenchmarkRow[] },
): Report {
  return {
    library: "kfac-webgpu",
    version,
    date: new Date().toISOString(),
    browser: navigator.userAgent,
    adapter: engine.capabilities,
    certificates: results.certificates ?? [],
    benchmark: results.benchmark ?? [],
  };
}

export function download(report: Report): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `kfac-webgpu-${report.date.slice(0, 10)}.json`;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
