import { IN, OUT, train } from "../../examples/raw/train.mjs";
import { assert, networkTest } from "../harness/kernel-test.js";

networkTest("examples/raw: the preconditioner between the caller's own passes learns faster", async (t) => {
  const preconditioner = t.engine.preconditioner([{ name: "fc", in: IN + 1, out: OUT, bias: true }], {
    damping: 1e-6,
  });
  const kfac = await train(t.device, { rate: 1, steps: 30, preconditioner });
  let best = Number.POSITIVE_INFINITY;
  for (const rate of [0.03, 0.1, 0.3, 1]) {
    const plain = await train(t.device, { rate, steps: 30 });
    assert(Math.abs(plain[0]! - kfac[0]!) < 1e-6, "both start at the same loss");
    best = Math.min(best, plain.at(-1)!);
  }
  const last = kfac.at(-1)!;
  assert(last < 0.5 * best, `K-FAC reaches ${last}, gradient descent at its best ${best}`);
  assert(last < 0.3 * kfac[0]!, `from ${kfac[0]} to ${last} only`);
  const [status] = await preconditioner.status();
  assert(status!.text === "ok" && status!.batches.A === 30, JSON.stringify(status));
  preconditioner.dispose();
});
