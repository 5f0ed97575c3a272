// The README's example: a small classifier, trained over epochs. It works in a page as it does in Node.
import { dense, relu, softmaxCrossEntropy } from "kfac-webgpu";

/** Trains on points of a plane; `options` are more of those of `engine.fit`. */
export async function train(engine, options = {}) {
  const net = engine.network([dense(2, 32), relu(), dense(32, 2)], softmaxCrossEntropy(), { batchSize: 128 });
  const kfac = engine.kfac(net);

  // Is a point inside the ring?
  const count = 1024;
  const inputs = Float32Array.from({ length: 2 * count }, () => 4 * Math.random() - 2);
  const targets = Uint32Array.from({ length: count }, (_, i) => {
    const radius = Math.hypot(inputs[2 * i], inputs[2 * i + 1]);
    return radius > 0.7 && radius < 1.6 ? 1 : 0;
  });
  const data = { inputs, targets, count };
  const history = await engine.fit(net, kfac, data, {
    epochs: 20,
    validation: 0.2,
    log: true,
    ...options,
  });
  return { net, kfac, data, history };
}
