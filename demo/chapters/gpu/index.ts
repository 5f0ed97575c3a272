// Chapter 4: the library's claims and its speed, on the visitor's own GPU.
import { type Certificate, verify } from "kfac-webgpu";
import {
  button,
  buttonRow,
  controlGrid,
  dataTable,
  duration,
  element,
  integer,
  type Mount,
  nextFrame,
  number,
  scientific,
  select,
  statRow,
  statTile,
} from "../../ui/index.js";
import { type BenchmarkRow, benchmark, type Scale } from "./benchmark/index.js";
import { download, type Report, reportOf } from "./report.js";
import { task } from "./task.js";
import "./style.css";

export const mount: Mount = async (root, context) => {
  const results: { certificates?: readonly Certificate[]; benchmark?: readonly BenchmarkRow[] } = {};
  let report: Report | undefined;

  // What the adapter is

  const adapter = dataTable({
    caption: "What this browser offers the page",
    columns: [{ label: "property" }, { label: "value" }],
  });

  // The claims

  const claims = dataTable({
    caption: "Every claim with its error and the bound it is held against",
    columns: [
      { label: "claim" },
      { label: "verdict" },
      { label: "measured", numeric: true },
      { label: "bound", numeric: true },
      { label: "instance" },
    ],
  });
  claims.element.classList.add("tall-table");
  claims.element.hidden = true;
  const held = statTile({ label: "Claims that hold" });
  const failed = statTile({ label: "Claims that fail" });
  const took = statTile({ label: "Time" });
  const verdicts = statRow(held, failed, took);
  verdicts.hidden = true;
  const check = task(context, {
    start: "Check every claim",
    label: "Checking",
    async work({ signal, onProgress }) {
      const engine = await context.engine();
      const start = performance.now();
      const all: Certificate[] = [];
      claims.set([]);
      claims.element.hidden = verdicts.hidden = false;
      const count = () => {
        const good = all.filter(({ pass }) => pass).length;
        held.set(integer(good));
        failed.set(integer(all.length - good));
        took.set(duration(performance.now() - start));
      };
      count();
      const certificates = await verify(engine, {
        signal,
        onProgress({ group, done, total, certificates: more }) {
          all.push(...more);
          for (const one of more) claims.append(claimCells(one), one.pass ? undefined : "failed");
          count();
          onProgress(done, total, `${group}: done`);
        },
      });
      results.certificates = certificates;
      await offer();
      const bad = certificates.filter(({ pass }) => !pass).length;
      return bad === 0
        ? `all ${certificates.length} claims hold on this adapter`
        : `${bad} of ${certificates.length} claims fail on this adapter`;
    },
  });

  // The speed

  const scale = select<Scale>({
    label: "Sizes",
    options: [
      { value: "small", label: "small (software adapters)" },
      { value: "large", label: "large (GPUs)" },
    ],
    value: "small",
  });
  const speeds = dataTable({
    caption: "Milliseconds a call (medians), and how many times as long jax-js takes",
    columns: [
      { label: "operation" },
      { label: "size", oneLine: true },
      { label: "ratio", numeric: true },
      { label: "kfac-webgpu, ms", numeric: true },
      { label: "jax-js, ms", numeric: true },
      { label: "interval", numeric: true },
      { label: "errors, ours and theirs", numeric: true },
      { label: "jax-js by" },
    ],
  });
  speeds.element.hidden = true;
  const race = task(context, {
    start: "Run the benchmark",
    label: "Measuring",
    controls: [controlGrid(scale)],
    async work({ signal, onProgress }) {
      const engine = await context.engine();
      speeds.set([]);
      speeds.element.hidden = false;
      scale.disabled = true;
      try {
        results.benchmark = await benchmark(engine, {
          scale: scale.value,
          signal,
          onProgress,
          onRow: (row) => speeds.append(speedCells(row)),
        });
      } finally {
        scale.disabled = false;
      }
      await offer();
      return "all operations measured";
    },
  });

  // The file

  const save = button({
    label: "Download the results as JSON",
    disabled: true,
    onClick: () => report && download(report),
  });
  const offer = async () => {
    report = reportOf(await context.engine(), results);
    save.disabled = false;
  };

  const lose = button({
    label: "Lose the device on purpose",
    onClick: () =>
      void context.engine().then(
        ({ device }) => device.destroy(),
        (error) => context.fail(error),
      ),
  });

  root.append(
    element("h2", {}, "Your GPU: see for yourself"),
    element(
      "p",
      { class: "lead" },
      "Nothing here was measured beforehand. Press a button, and the page checks the library’s claims and its speed on the machine in front of you.",
    ),
    adapter.element,
    element("h3", {}, "Do the claims hold?"),
    element(
      "p",
      {},
      "The library’s theorems and kernels are checked against an f64 reference: what should be exact within the rounding of f32, and what should not be exact by a gap that must be there.",
    ),
    check.element,
    verdicts,
    claims.element,
    element("h3", {}, "How fast is it?"),
    element(
      "p",
      {},
      "The same operations by this library and by jax-js, a general array library with a WebGPU back end, in turns, on the same numbers. jax-js is loaded when you press the button. It may spell the operation in several ways; the fastest counts. The ratio is the median over the pairs; its interval holds the true median with 95 %, and is the whole range where there are fewer than six pairs.",
    ),
    race.element,
    speeds.element,
    buttonRow(save),
    element("h3", {}, "When the GPU goes away"),
    element(
      "p",
      {},
      "A browser may take the GPU from a page at any time. This button destroys the page’s device, as a restarting driver would: the page says so, and goes on when you open the GPU again.",
    ),
    buttonRow(lose),
  );

  try {
    const engine = await context.engine();
    const { capabilities } = engine;
    scale.value = capabilities.software ? "small" : "large";
    const { limits } = capabilities;
    adapter.set([
      ["adapter", `${capabilities.adapter}${capabilities.software ? " (runs on the CPU)" : ""}`],
      [
        "vendor, architecture",
        [capabilities.vendor, capabilities.architecture].filter(Boolean).join(", ") || "not told",
      ],
      [
        "f16, subgroups, timestamps",
        [capabilities.f16, capabilities.subgroups, capabilities.timestamps].map(yes).join(", "),
      ],
      ["largest buffer", `${integer(limits.maxBufferSize / 2 ** 20)} MiB`],
      ["workgroup memory", `${integer(limits.maxComputeWorkgroupStorageSize / 1024)} KiB`],
      ["threads in a workgroup", integer(limits.maxComputeInvocationsPerWorkgroup)],
    ]);
  } catch (error) {
    context.fail(error);
  }
  await nextFrame();
  return { dispose() {} };
};

const yes = (is: boolean) => (is ? "yes" : "no");

function claimCells({ claim, sizes, error, bound, held, pass }: Certificate) {
  return [
    claim,
    element("span", { class: pass ? "good" : "bad" }, pass ? "holds" : "fails"),
    scientific(error),
    `${held === "atMost" ? "≤" : "≥"} ${scientific(bound)}`,
    sizes,
  ];
}

function speedCells(row: BenchmarkRow) {
  return [
    row.operation,
    row.size,
    element("strong", { class: "ratio", "data-value": row.ratio }, `${number(row.ratio)} ×`),
    number(row.oursMs),
    number(row.theirsMs),
    `${number(row.low)} … ${number(row.high)}`,
    `${scientific(row.oursError)}, ${scientific(row.theirsError)}`,
    row.formulation,
  ];
}
