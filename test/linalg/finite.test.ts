/** The check for numbers that are not finite: every kind, at every place, and nothing beside the view. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { checkFinite } from "../../src/linalg/index.js";
import { assertEqual, kernelTest } from "../harness/kernel-test.js";
import { Arena, assertRefused, managerOf, run } from "./helpers.js";

kernelTest("finite: NaN and infinities are told from subnormal and huge numbers", async (t) => {
  const kinds = [
    { name: "NaN", bits: 0x7fc00000, bad: true },
    { name: "NaN with another payload", bits: 0xff801234, bad: true },
    { name: "signalling NaN", bits: 0x7f800001, bad: true },
    { name: "infinity", bits: 0x7f800000, bad: true },
    { name: "minus infinity", bits: 0xff800000, bad: true },
    { name: "the largest number", bits: 0x7f7fffff, bad: false },
    { name: "the lowest number", bits: 0xff7fffff, bad: false },
    { name: "the smallest subnormal", bits: 1, bad: false },
    { name: "the largest subnormal, negative", bits: 0x807fffff, bad: false },
    { name: "the smallest normal", bits: 0x00800000, bad: false },
    { name: "zero", bits: 0, bad: false },
    { name: "minus zero", bits: 0x80000000, bad: false },
    { name: "one", bits: 0x3f800000, bad: false },
  ];
  const x = t.upload(Uint32Array.from(kinds, ({ bits }) => bits));
  const flags = t.upload(new Uint32Array(kinds.length));
  run(managerOf(t), (recorder) => {
    checkFinite(
      recorder,
      flags,
      kinds.map((_, flag) => ({ x: { buffer: x, offset: flag, rows: 1, cols: 1 }, flag, bit: 1 })),
    );
  });
  const words = await t.downloadWords(flags);
  for (const [i, { name, bad }] of kinds.entries()) assertEqual(words[i], bad ? 1 : 0, name);
});

kernelTest("finite: one bad number at each place of odd-sized views, in one dispatch", async (t) => {
  const random = t.random(1);
  const arena = new Arena();
  const checks = [
    [17, 7],
    [3, 66],
    [33, 2],
    [1, 1],
  ].flatMap(([rows, cols], shape) =>
    // The last one of each shape is in order, though all around it lies poison.
    Array.from({ length: rows! * cols! + 1 }, (_, place) => {
      const data = random.normals(rows! * cols!);
      const bad = place < data.length;
      if (bad) data[place] = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][place % 3]!;
      return { slot: arena.add(rows!, cols!, (shape + place) % 2 === 0, data), bad, place };
    }),
  );
  arena.upload(t, 0);
  // Bits that are there already stay; three checks share a word.
  const flags = t.upload(new Uint32Array(Math.ceil(checks.length / 3) + 1).fill(0x100));
  const dispatches = run(managerOf(t), (recorder) => {
    checkFinite(
      recorder,
      flags,
      checks.map(({ slot }, i) => ({ x: slot.view, flag: Math.floor(i / 3), bit: 1 << (i % 3) })),
    );
  });
  assertEqual(dispatches, 1, "dispatches");
  const words = await t.downloadWords(flags);
  const expected = new Uint32Array(words.length).fill(0x100);
  for (const [i, { bad }] of checks.entries()) if (bad) expected[Math.floor(i / 3)]! |= 1 << (i % 3);
  for (const [i, word] of words.entries()) assertEqual(word, expected[i], `flags of checks ${3 * i} …`);
});

kernelTest("finite: buffers of their own", async (t) => {
  const good = t.upload(t.random(2).normals(6));
  const bad = t.upload(Float32Array.of(1, 2, Number.NaN, 4, 5, 6));
  const others = [5, 1, 0].map((at) =>
    t.upload(Float32Array.from({ length: 6 }, (_, k) => (k === at ? Number.POSITIVE_INFINITY : k))),
  );
  const flags = t.upload(new Uint32Array(6));
  const view = (buffer: GPUBuffer) => ({ buffer, rows: 2, cols: 3 });
  const dispatches = run(managerOf(t), (recorder) => {
    checkFinite(recorder, flags, [
      { x: view(good), flag: 0, bit: 1 },
      { x: view(bad), flag: 1, bit: 2 },
      { x: view(good), flag: 2, bit: 4 },
      ...others.map((buffer, k) => ({ x: view(buffer), flag: 3 + k, bit: 8 })),
    ]);
  });
  assertEqual(dispatches, 2, "dispatches: one for every three buffers");
  assertEqual((await t.downloadWords(flags)).join(), "0,2,0,8,8,8", "flags");
});

kernelTest("finite: more workgroups than one dimension takes", async (t) => {
  const rows = 16 * 65535 + 33;
  const numbers = new Float32Array(rows);
  numbers[rows - 1] = Number.NaN;
  const x = t.upload(numbers);
  const flags = t.upload(new Uint32Array(2));
  run(managerOf(t), (recorder) => {
    checkFinite(recorder, flags, [
      { x: { buffer: x, rows, cols: 1 }, flag: 1, bit: 1 },
      { x: { buffer: x, rows: rows - 1, cols: 1 }, flag: 0, bit: 1 },
    ]);
  });
  assertEqual((await t.downloadWords(flags)).join(), "0,1", "flags");
});

kernelTest("finite: bad input is refused before anything is recorded", async (t) => {
  const [xs, words] = [new Arena(), new Arena()];
  const slot = xs.add(3, 5, true, t.random(1).normals(15));
  words.add(1, 4, false, [0, 0, 0, 0]);
  xs.upload(t);
  const flags = words.upload(t, 0).buffer;
  const x = slot.view;
  await assertRefused(
    t,
    [xs, words],
    [
      [
        (r) => checkFinite(r, flags, [{ x: { ...x, cols: 0 }, flag: 0, bit: 1 }]),
        ShapeError,
        /^checkFinite: x has shape \[3 × 0\]/,
      ],
      [
        (r) => checkFinite(r, flags, [{ x, flag: 4, bit: 1 }]),
        ShapeError,
        /^checkFinite: flags .*at most 4 elements/,
      ],
      [
        (r) => checkFinite(r, flags, [{ x: { buffer: flags, rows: 1, cols: 4 }, flag: 0, bit: 1 }]),
        ArgumentError,
        /^checkFinite: flags .*same buffer as x/,
      ],
    ],
  );
});
