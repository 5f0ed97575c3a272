import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint, restoreRun, saveRun } from "../../src/data/index.js";
import { readCheckpoint, replaceFile, writeCheckpoint } from "../../src/data/node/index.js";
import { CheckpointError, DataError } from "../../src/errors.js";
import type { OptimizerState } from "../../src/optimizers/index.js";
import { temporaryFolder } from "./idx-files.js";

type Saved = Parameters<typeof saveRun>;

/** A network of two layers and an optimiser with two tensors, which note what is put back. */
function standIns(lengths = [6, 4]) {
  const put: { weights?: readonly Float32Array[]; state?: OptimizerState } = {};
  const network: Saved[0] = {
    layers: lengths.map((_, l) => ({ name: `dense${l + 1}` })) as unknown as Saved[0]["layers"],
    weights: async () => lengths.map((length, l) => new Float32Array(length).fill(l + 0.5)),
    setWeights: (weights) => {
      put.weights = weights;
    },
  };
  const optimizer: Saved[1] = {
    state: async () => ({ count: Uint32Array.of(3), momentum: Float32Array.of(1, Number.NaN) }),
    restore: (state) => {
      if (!("count" in state)) throw new CheckpointError("count", "is missing");
      put.state = state;
    },
  };
  return { network, optimizer, put };
}

describe("saveRun and restoreRun", () => {
  it("carry weights, state and facts through a file's bytes", async () => {
    const { network, optimizer, put } = standIns();
    const saved = await saveRun(network, optimizer, { step: 7 });
    expect(Object.keys(saved.tensors)).toEqual([
      "weights/0",
      "weights/1",
      "optimizer/count",
      "optimizer/momentum",
    ]);
    const read = decodeCheckpoint(encodeCheckpoint(saved));
    expect(read.meta).toEqual({ step: 7 });
    await restoreRun(read, network, optimizer);
    expect(put.weights).toEqual(await network.weights());
    expect(put.state).toEqual(await optimizer.state());
  });

  it("refuse another network's tensors, or another optimiser's, and change nothing", async () => {
    const saved = await saveRun(...(Object.values(standIns()).slice(0, 2) as Saved));
    const other = standIns([6, 5]);
    await expect(restoreRun(saved, other.network, other.optimizer)).rejects.toThrow(
      /^Checkpoint weights of layer dense2: are 4 numbers and the network has 5/,
    );
    const { network, optimizer, put } = standIns();
    const { "optimizer/count": _, ...rest } = saved.tensors;
    await expect(restoreRun({ ...saved, tensors: rest }, network, optimizer)).rejects.toThrow(/count/);
    const { "weights/1": __, ...fewer } = saved.tensors;
    await expect(restoreRun({ ...saved, tensors: fewer }, network, optimizer)).rejects.toThrow(
      /dense2: are 0 numbers/,
    );
    expect([put, other.put]).toEqual([{}, {}]);
  });
});

describe("checkpoints on disk", () => {
  it("are what was written", async () => {
    const { network, optimizer } = standIns();
    const file = join(temporaryFolder(), "run.kfac");
    const saved = await saveRun(network, optimizer, { step: 1 });
    writeCheckpoint(file, saved);
    expect(readCheckpoint(file)).toEqual(saved);
  });

  it("name a file that is missing or none", () => {
    const folder = temporaryFolder();
    expect(() => readCheckpoint(join(folder, "none"))).toThrow(
      /^Checkpoint file: .*none cannot be read: it does not exist/,
    );
    writeFileSync(join(folder, "text"), "hello, this is not a checkpoint");
    expect(() => readCheckpoint(join(folder, "text"))).toThrow(/^Checkpoint magic: is missing/);
  });

  it("stay as they were when the new one cannot be written", () => {
    const folder = temporaryFolder();
    const file = join(folder, "run.kfac");
    replaceFile(file, Uint8Array.of(1, 2, 3));
    const bad = { meta: {}, tensors: { "weights/0": Float32Array.of(Number.NaN) } };
    expect(() => writeCheckpoint(file, bad)).toThrow(CheckpointError);
    // Another process is at it: that file is its own.
    writeFileSync(`${file}.tmp`, "half");
    writeFileSync(`${file}.1-0.tmp`, "half");
    // A folder stands where the new file is made.
    mkdirSync(`${file}.${process.pid}-${threadId}.tmp`);
    expect(() => replaceFile(file, Uint8Array.of(9))).toThrow(DataError);
    for (const other of [`${file}.tmp`, `${file}.1-0.tmp`]) expect(readFileSync(other, "utf8")).toBe("half");
    expect([...readFileSync(file)]).toEqual([1, 2, 3]);
    const nowhere = join(folder, "nowhere", "file");
    expect(() => replaceFile(nowhere, Uint8Array.of(9))).toThrow(
      /^.*file: cannot be written \(the folder .*nowhere does not exist\)/,
    );
    expect(existsSync(nowhere)).toBe(false);
  });

  it("are refused where they are no file, at once", () => {
    const folder = temporaryFolder();
    expect(() => readCheckpoint(folder)).toThrow(/^Checkpoint file: .* cannot be read: it is a folder/);
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    expect(() => readCheckpoint(pipe)).toThrow(/^Checkpoint file: .*pipe cannot be read: it is no file/);
  });

  it("leave nothing else behind", () => {
    const folder = temporaryFolder();
    replaceFile(join(folder, "a"), new Uint8Array(100_000).fill(7));
    replaceFile(join(folder, "a"), Uint8Array.of(1));
    expect(readdirSync(folder)).toEqual(["a"]);
  });
});
