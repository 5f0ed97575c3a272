// Writes shaders/*.wgsl from shaders/source/: `npm run shaders`. A test holds the files against their sources.
//
// scripts/shaders/template.mjs says what a source may contain, shaders/source/forms.mjs which files are made of one. Structs
// and bindings come from the layouts declared in src/: `# bindings("linalg/axpy", "axpyLayout");`.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { FORMS } from "../shaders/source/forms.mjs";
import { bindingsOf } from "./shaders/bindings.mjs";
import { write } from "./shaders/template.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "shaders");

/** @returns {Promise<Map<string, string>>} what each file in shaders/ should say, by its name */
export async function shaders() {
  const sources = readdirSync(join(folder, "source"))
    .filter((file) => file.endsWith(".wgsl"))
    .map((file) => file.slice(0, -".wgsl".length));
  const texts = new Map(sources.map((source) => [source, read(`shaders/source/${source}.wgsl`)]));
  const bindings = await bindingsFor([...texts.values()].map(({ text }) => text));
  const files = new Map();
  for (const [source, own] of texts) {
    const surroundings = {
      bindings,
      read: (/** @type {string} */ name) =>
        name === source ? own : read(`shaders/source/pieces/${name}.wgsl`),
    };
    for (const [ending, form] of Object.entries(FORMS[source] ?? { "": {} })) {
      files.set(`${source}${ending}.wgsl`, signed(write(source, form, surroundings), source));
    }
  }
  return files;
}

/**
 * What `bindings` says in these sources. Loads the modules of src/ that they name; the shaders that those import may not
 * have been written yet.
 * @param {readonly string[]} sources
 */
async function bindingsFor(sources) {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: "error",
    appType: "custom",
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
    plugins: [
      {
        name: "no-shaders",
        enforce: "pre",
        load: (id) => (id.endsWith(".wgsl?raw") ? 'export default "";' : null),
      },
    ],
  });
  try {
    const wanted = sources.flatMap((text) =>
      [...text.matchAll(/^ *# bindings\("([^"]+)"/gm)].map(([, name]) => name),
    );
    /** @type {Map<string | undefined, Record<string, unknown>>} */
    const modules = new Map();
    for (const name of new Set(wanted)) modules.set(name, await server.ssrLoadModule(`/src/${name}.ts`));
    const names = new Map();
    for (const { ssrModule } of server.environments.ssr.moduleGraph.idToModuleMap.values()) {
      for (const [name, value] of Object.entries(ssrModule ?? {})) names.set(value, name);
    }
    const nameOf = (/** @type {unknown} */ schema) => names.get(schema);
    return (
      /** @type {string} */ module,
      /** @type {string} */ layout,
      /** @type {Record<string, string>} */ notes,
      /** @type {Record<string, string>} */ aliases,
    ) => {
      const found = modules.get(module)?.[layout];
      if (!found) throw new Error(`src/${module}.ts exports no ${layout}`);
      return bindingsOf(/** @type {Parameters<typeof bindingsOf>[0]} */ (found), nameOf, notes, aliases);
    };
  } finally {
    await server.close();
  }
}

/** @param {string} file */
function read(file) {
  return { file, text: readFileSync(join(root, file), "utf8") };
}

/**
 * The text with the place to change it below the comment that it begins with.
 * @param {string} text @param {string} source
 */
function signed(text, source) {
  return text.replace(
    /^(?:\/\/.*\n)*/,
    (header) => `${header}//\n// Written by \`npm run shaders\` from source/${source}.wgsl.\n`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of await shaders()) writeFileSync(join(folder, file), text);
}
