// Writes the unrolled text of shaders: what stands between `// unroll …` and `// end`, and the files that are another one
// with other numbers (DERIVED). `node scripts/unroll.mjs` writes them, a test holds them against it.
//
// In the product kernels a thread keeps rows × 4 or 8 numbers of C = AᵀB as vec4f named c<row>_<half>. In a subgroup kernel its lanes hold the same
// rows and neighbouring columns, so one lane loads four rows of A and hands them to the others: a software adapter loads
// lane by lane, and loads are what it spends its time on.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../shaders", import.meta.url));

/** @param {number} count */
const upTo = (count) => [...Array(count).keys()];

/** @type {Record<string, (options: Record<string, string>) => string[]>} */
const BLOCKS = {
  /** Accumulators, all zero. */
  accumulators: ({ rows, halves = "2" }) =>
    upTo(Number(rows)).map((r) =>
      upTo(Number(halves))
        .map((half) => `var c${r}_${half} = vec4f();`)
        .join(" "),
    ),

  /**
   * Two rows of A and B. Names in scope: ai, bj (row indices into the buffers), lane, aStride, bNext (from this row of B
   * to the second, 0 where there is none), aNext (from this row of A to the second), live (whether there is a second).
   */
  steps: ({ rows, lanes, halves, a = "a", b = "b" }) => {
    const held = upTo(Number(rows) / 4 / Number(lanes));
    const text = [
      ...upTo(Number(halves)).map((half) => `let b0_${half} = ${b}[bj + ${half}u];`),
      ...upTo(Number(halves)).map((half) => `let b1_${half} = ${b}[bj + bNext + ${half}u];`),
      ...held.map((t) => `let x${t} = ${a}[ai + lane + ${t * Number(lanes)}u];`),
      ...held.map(
        (t) => `let y${t} = select(vec4f(), ${a}[ai + aNext + lane + ${t * Number(lanes)}u], live);`,
      ),
    ];
    for (const quad of upTo(Number(rows) / 4)) {
      const [t, from] = [Math.floor(quad / Number(lanes)), quad % Number(lanes)];
      text.push(
        `let p${quad} = subgroupBroadcast(x${t}, ${from}u); let q${quad} = subgroupBroadcast(y${t}, ${from}u);`,
      );
      for (const r of upTo(4)) {
        const [row, part] = [4 * quad + r, "xyzw"[r]];
        for (const half of upTo(Number(halves))) {
          const c = `c${row}_${half}`;
          const first = `fma(vec4f(p${quad}.${part}), b0_${half}, ${c})`;
          text.push(`${c} = fma(vec4f(q${quad}.${part}), b1_${half}, ${first});`);
        }
      }
    }
    return text;
  },

  /**
   * Rows of A and B in workgroup memory, 2 · THREADS vec4f each: a thread's 8 numbers of a row are two vec4f THREADS apart.
   * Names in scope: aRows, bRows, ai and bj (where this thread's numbers of the first row are), THREADS.
   */
  workgroupSteps: ({ depth }) =>
    upTo(Number(depth)).flatMap((step) => [
      ...["a", "b"].map((name) => {
        const at = `${name}Rows[${name === "a" ? "ai" : "bj"} + `;
        const [first, second] = [0, 1].map((half) => `${at}${2 * step + half}u * THREADS]`);
        return `let ${name}${step}_0 = ${first}; let ${name}${step}_1 = ${second};`;
      }),
      ...upTo(8).map((row) => {
        const factor = `vec4f(a${step}_${row >> 2}.${"xyzw"[row & 3]})`;
        return [0, 1]
          .map((half) => `c${row}_${half} = fma(${factor}, b${step}_${half}, c${row}_${half});`)
          .join(" ");
      }),
    ]),

  /** The block as an array, row by row. */
  block: ({ rows, name, halves = "2" }) => {
    const lines = upTo(Number(rows) / 4).map((quad) =>
      upTo(4)
        .flatMap((r) => upTo(Number(halves)).map((half) => `c${4 * quad + r}_${half}`))
        .join(", "),
    );
    const length = Number(halves) * Number(rows);
    return [`var ${name} = array<vec4f, ${length}>(`, ...lines.map((line) => `  ${line},`), ");"];
  },

  /** The block as an array of numbers, row by row. */
  numbers: ({ rows, name, halves }) => [
    `var ${name} = array<f32, ${4 * Number(halves) * Number(rows)}>(`,
    ...upTo(Number(rows)).map((r) => {
      const parts = upTo(Number(halves)).flatMap((half) =>
        [..."xyzw"].map((part) => `c${r}_${half}.${part}`),
      );
      return `  ${parts.join(", ")},`;
    }),
    ");",
  ],

  /** The block transposed: 8 rows of rows / 4 vectors. */
  transposed: ({ rows, name }) => {
    const quads = upTo(Number(rows) / 4);
    const text = [];
    for (const quad of quads) {
      for (const half of [0, 1]) {
        const columns = upTo(4).map((r) => `c${4 * quad + r}_${half}`);
        text.push(`let t${quad}_${half} = transpose(mat4x4f(${columns.join(", ")}));`);
      }
    }
    text.push(`var ${name} = array<vec4f, ${2 * Number(rows)}>(`);
    for (const row of upTo(8)) {
      text.push(`  ${quads.map((quad) => `t${quad}_${row >> 2}[${row & 3}]`).join(", ")},`);
    }
    text.push(");");
    return text;
  },

  /** A row of a block as vec4f named r<quarter>, from the array `row`. */
  row: ({ cols }) => upTo(Number(cols) / 4).map((q) => `var r${q} = row[${q}];`),

  /** r ← r − factor · pivot row, at `current`. With lanes, each loads a part of the row and hands it to the others. */
  eliminate: ({ cols, lanes }) => {
    const quarters = Number(cols) / 4;
    if (lanes === "1") return upTo(quarters).map((q) => eliminated(q, `pivotRow[current + ${q}u]`));
    const width = Number(lanes);
    return [
      ...upTo(quarters / width).map((t) => `let p${t} = pivotRow[current + lane + ${t * width}u];`),
      ...upTo(quarters).map((q) =>
        eliminated(q, `subgroupBroadcast(p${Math.floor(q / width)}, ${q % width}u)`),
      ),
    ];
  },

  /** The row back into the array `row`. */
  publish: ({ cols }) => upTo(Number(cols) / 4).map((q) => `row[${q}] = r${q};`),
};

/** @param {number} q @param {string} pivot */
function eliminated(q, pivot) {
  return `r${q} = fma(vec4f(-factor), ${pivot}, r${q});`;
}

const BLOCK_64 = { cols: [32, 64], block: [32, 64] };

/** Files made from another one: the ending of its name, that of theirs, and the numbers that differ. */
const DERIVED = /** @type {readonly [string, string, Record<string, number[]>][]} */ ([
  ["_pivot32.wgsl", "_pivot64.wgsl", BLOCK_64],
  ["_pivot32.wgsl", "_pivot32_subgroup4.wgsl", { lanes: [1, 4] }],
  ["_pivot32.wgsl", "_pivot32_subgroup8.wgsl", { lanes: [1, 8] }],
  ["_pivot32.wgsl", "_pivot64_subgroup4.wgsl", { ...BLOCK_64, lanes: [1, 4] }],
  ["_pivot32.wgsl", "_pivot64_subgroup8.wgsl", { ...BLOCK_64, lanes: [1, 8] }],
  ["_subgroup8.wgsl", "_subgroup4.wgsl", { lanes: [8, 4], halves: [1, 2], cols: [4, 8] }],
]);

/**
 * A shader's text with its unrolled blocks written anew.
 * @param {string} text
 * @returns {string}
 */
export function unroll(text) {
  let blocks = 0;
  const result = text.replace(
    /^( *)\/\/ unroll (\w+)((?: \w+=\w+)*)\n[\s\S]*?^\1\/\/ end$/gm,
    (_, indent, kind, words) => {
      blocks++;
      const block = Object.hasOwn(BLOCKS, kind) && BLOCKS[kind];
      if (!block) throw new Error(`There is nothing named ${kind} to unroll.`);
      const options = Object.fromEntries(
        words
          .trim()
          .split(" ")
          .map((/** @type {string} */ word) => word.split("=")),
      );
      const lines = block(options).map((line) => `${indent}${line}\n`);
      return `${indent}// unroll ${kind}${words}\n${lines.join("")}${indent}// end`;
    },
  );
  const marks = text.match(/^ *\/\/ unroll /gm)?.length ?? 0;
  if (blocks !== marks)
    throw new Error(`${marks - blocks} of ${marks} blocks have no end, or options that are not name=word.`);
  return result;
}

/**
 * The text of a derived file: numbers of `unroll` lines and of the constants of the same name changed.
 * @param {string} text
 * @param {Record<string, number[]>} numbers
 */
function derive(text, numbers) {
  let result = text;
  for (const [name, [before, after]] of Object.entries(numbers)) {
    result = result
      .replaceAll(new RegExp(`( ${name}=)${before}\\b`, "g"), `$1${after}`)
      .replaceAll(new RegExp(`(const ${name.toUpperCase()} = )${before}u`, "g"), `$1${after}u`);
  }
  return unroll(result);
}

/**
 * A kernel that has no subgroups yet, with the words that it needs for them: what stands behind `subgroups:` in place of
 * the line before.
 * @param {string} text
 */
function withSubgroups(text) {
  return text.replace(/^.*\n( *)\/\/ subgroups: (.*)$/gm, "$1$2");
}

/** @returns {Map<string, string>} what the shader files that hold unrolled text should say, by file name */
export function unrolled() {
  const files = new Map();
  for (const file of readdirSync(folder)) {
    const text = readFileSync(join(folder, file), "utf8");
    if (!text.includes("// unroll ") || DERIVED.some(([, made]) => file.endsWith(made))) continue;
    files.set(file, unroll(text));
    for (const [from, made, numbers] of DERIVED) {
      if (!file.endsWith(from)) continue;
      const derived = derive(text, numbers);
      files.set(file.replace(from, made), made.includes("subgroup") ? withSubgroups(derived) : derived);
    }
  }
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of unrolled()) writeFileSync(join(folder, file), text);
}
