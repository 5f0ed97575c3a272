/** Draws of the Monte-Carlo Fisher: the same bits, numbers and classes as the reference's. */
import code from "../../shaders/loss.wgsl?raw";
import { dense, Network, softmaxCrossEntropy } from "../../src/network/index.js";
import { threefry2x32, uniform } from "../../src/random/index.js";
import { sampledGradient } from "../../src/reference/loss.js";
import { assert, assertEqual, kernelTest } from "../harness/kernel-test.js";
import { download, matrixOf, openManager, pass, randomBatch, stacked } from "./helpers.js";

/** An entry point of the test's own over the shader's functions. */
const PROBE = `
@group(0) @binding(0) var<storage, read> probes: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> drawn: array<vec4u>;

@compute @workgroup_size(64)
fn probe(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&probes)) {
    return;
  }
  let words = threefry(probes[id.x].xy, probes[id.x].zw);
  drawn[id.x] = vec4u(words, bitcast<vec2u>(vec2f(uniformOf(words.x), uniformOf(words.y))));
}
`;

kernelTest("fisher: Threefry's bits and its uniform numbers are the reference's", async (t) => {
  const random = t.random(8);
  const word = () => random.integer(2 ** 32);
  const probes = [
    [0, 0, 0, 0],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3],
    ...Array.from({ length: 253 }, () => [word(), word(), word(), word()]),
  ];
  const bindings = code.replace(/^@group.*\n/gm, (line) =>
    line.replace(/@binding\((\d)\)/, (_, number) => `@binding(${Number(number) + 2})`),
  );
  const module = t.device.createShaderModule({ code: bindings + PROBE });
  const pipeline = await t.device.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "probe" },
  });
  const source = t.upload(Uint32Array.from(probes.flat()));
  const target = t.poisoned(4 * probes.length);
  const group = t.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [source, target].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  t.submit((encoder) => {
    const compute = encoder.beginComputePass();
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, group);
    compute.dispatchWorkgroups(probes.length / 64);
    compute.end();
  });
  const words = await t.downloadWords(target);
  const numbers = new Float32Array(words.buffer);
  for (const [i, probe] of probes.entries()) {
    const drawn = threefry2x32(probe[0]!, probe[1]!, probe[2]!, probe[3]!);
    for (const k of [0, 1]) {
      assertEqual(words[4 * i + k]!, drawn[k]!, `word ${k} of draw ${i}`);
      assertEqual(numbers[4 * i + 2 + k]!, uniform(drawn[k]!), `number ${k} of draw ${i}`);
    }
  }
});

kernelTest("fisher: sampled classes are the reference's", async (t) => {
  const manager = await openManager(t);
  const [features, outputs, count, samples] = [4, 10, 200, 5];
  const net = new Network(manager, [dense(features, outputs)], softmaxCrossEntropy(), {
    batchSize: count,
    fisher: { kind: "monteCarlo", samples },
  });
  const batch = randomBatch(t.random(1), count, features, outputs, net.loss);
  const Z = matrixOf(await net.predict(batch.inputs, count), count, outputs);
  for (const [seed, step] of [
    [0, 0],
    [12345, 0xffffffff],
  ] as const) {
    const fisher = { kind: "monteCarlo", samples, seed, step } as const;
    const { layers } = pass(net, manager, batch, fisher);
    const B = stacked(layers[0]!.outputs());
    assertEqual(B.rows.rows, samples * count, "rows");
    const rows = await download(t, B.rows);
    for (let sample = 0; sample < samples; sample++) {
      const expected = sampledGradient("softmaxCrossEntropy", Z, { seed, step, sample });
      for (let i = 0; i < count; i++) {
        const row = (data: ArrayLike<number>, at: number) =>
          Array.from({ length: outputs }, (_, c) => data[at * outputs + c]!).findIndex((value) => value < 0);
        assertEqual(
          row(rows, sample * count + i),
          row(expected.data, i),
          `class of example ${i}, sample ${sample}`,
        );
      }
    }
  }
  manager.dispose();
});

kernelTest("fisher: another seed, step or sample gives other draws", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, [dense(3, 6)], softmaxCrossEntropy(), { batchSize: 40 });
  const batch = randomBatch(t.random(1), 40, 3, 6, net.loss);
  const seen = new Set<string>();
  const keys = [
    { seed: 1, step: 1 },
    { seed: 2, step: 1 },
    { seed: 1, step: 2 },
  ];
  for (const key of keys) {
    const fisher = { kind: "monteCarlo", samples: 2, ...key } as const;
    const { layers } = pass(net, manager, batch, fisher);
    const rows = await download(t, stacked(layers[0]!.outputs()).rows);
    seen.add(rows.subarray(0, 240).join()).add(rows.subarray(240).join());
  }
  assert(seen.size === 6, `${seen.size} of 6 draws differ`);
  manager.dispose();
});
