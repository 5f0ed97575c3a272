/** `kfac verify`: the package's theorems and kernels, checked on this machine's adapter. */
import { AbortedError } from "../../errors.js";
import type { Certificate } from "../../verify/index.js";
import type { Command } from "../command.js";
import { Failure } from "../failure.js";
import { Interrupt } from "../interrupt.js";
import { describeOptions, flag, parseOptions } from "../options.js";

const OPTIONS = {
  json: flag("one JSON object on stdout, nothing else"),
} as const;

const HELP = `kfac verify: checks the package's theorems, and its kernels against the f64 reference, on this machine's GPU

Usage: kfac verify [options]

${describeOptions(OPTIONS)}

Each line is a claim with what was measured and the bound it is held against. Claims that say "NOT" are the twins that
must fail: there the gap has to be at least the bound. Exit code 1 if any claim does not hold.
`;

export const verify: Command = {
  summary: "check the theorems and kernels on this machine's GPU",
  async run(argv, environment) {
    const { options, help } = parseOptions("kfac verify", OPTIONS, argv);
    if (help) {
      environment.stdout.write(HELP);
      return 0;
    }
    const { createNodeEngine, verify } = await environment.library();
    const engine = await createNodeEngine();
    const interrupt = new Interrupt(environment);
    const controller = new AbortController();
    try {
      const started = environment.now();
      const certificates = await verify(engine, {
        signal: controller.signal,
        onProgress: ({ group, done, total, certificates: rows }) => {
          const failed = rows.filter(({ pass }) => !pass).length;
          const outcome = failed === 0 ? `${rows.length} hold` : `${failed} of ${rows.length} FAIL`;
          environment.stderr.write(`${String(done).padStart(2)}/${total}  ${group}: ${outcome}\n`);
          if (interrupt.requested) controller.abort();
        },
      });
      const failed = certificates.filter(({ pass }) => !pass);
      const { adapter } = engine.capabilities;
      const seconds = (environment.now() - started) / 1000;
      if (options.json) {
        const record = { adapter, pass: failed.length === 0, seconds, certificates };
        environment.stdout.write(`${JSON.stringify(record, finite)}\n`);
      } else {
        environment.stdout.write(
          `${table(certificates)}\n\n${certificates.length} claims on ${adapter}, ${seconds.toFixed(1)} s\n`,
        );
      }
      if (failed.length === 0) return 0;
      const word = failed.length === 1 ? "claim does" : "claims do";
      throw new Failure(`kfac verify: ${failed.length} ${word} not hold: ${failed[0]!.claim}.`);
    } catch (error) {
      if (error instanceof AbortedError && interrupt.requested) return interrupt.exitCode;
      throw error;
    } finally {
      interrupt.dispose();
      engine.dispose();
    }
  },
};

/** Each claim once, with a line for each of its sizes. */
function table(all: readonly Certificate[]): string {
  const claims = [...new Set(all.map(({ claim }) => claim))];
  const certificates = claims.flatMap((claim) => all.filter((one) => one.claim === claim));
  const width = Math.max(0, ...certificates.map(({ sizes }) => [...sizes].length));
  const lines: string[] = [];
  let claim: string | undefined;
  for (const one of certificates) {
    if (one.claim !== claim) lines.push(one.claim);
    claim = one.claim;
    const space = " ".repeat(width - [...one.sizes].length);
    const relation = one.held === "atMost" ? "≤" : "≥";
    const verdict = one.pass ? "holds" : "FAILS";
    const measured = number(one.error).padStart(7);
    lines.push(`  ${one.sizes}${space}  ${measured} ${relation} ${number(one.bound).padEnd(7)}  ${verdict}`);
  }
  return lines.join("\n");
}

function number(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}

/** JSON has no NaN. */
function finite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? null : value;
}
