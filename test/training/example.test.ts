import { train } from "../../examples/fit/ring.mjs";
import { assert, assertEqual, networkTest } from "../harness/kernel-test.js";

networkTest("examples/fit: learns what it was shown, and says so", async (t) => {
  const lines: string[] = [];
  const { net, kfac, data, history } = await train(t.engine, { log: (line: string) => lines.push(line) });
  const { loss, validationAccuracy } = history.epochs.at(-1)!;
  assertEqual(history.epochs.length, 20, "epochs");
  assert(loss < 0.5 * history.epochs[0]!.loss, `from ${history.epochs[0]!.loss} to ${loss} only`);
  assert(validationAccuracy! > 0.85, `${validationAccuracy} of what was kept is right`);
  const { accuracy } = await net.evaluate(data);
  assert(accuracy > 0.85, `${accuracy} of all is right`);
  assert(lines.length === 20 && lines[19]!.startsWith("epoch 20/20  loss 0."), lines.join("\n"));
  kfac.dispose();
  net.dispose();
});
