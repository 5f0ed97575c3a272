// Writes the structs and bindings of a TypeGPU bind group layout as WGSL, so that a schema is declared once, in src/.

/**
 * @typedef {{ type: string, propTypes?: Record<string, Schema>, elementType?: Schema, elementCount?: number, inner?: Schema }} Schema
 * @typedef {Schema | ((count: number) => Schema)} Sized a function where the buffer says how many
 * @typedef {{ storage?: Sized, uniform?: Sized, access?: "readonly" | "mutable" }} Entry
 */

/**
 * The structs of a layout in the order of their use, an empty line after each, and the bindings.
 * @param {{ entries: Record<string, Entry> }} layout
 * @param {(schema: unknown) => string | undefined} nameOf what src/ exports a struct as
 * @param {Record<string, string>} notes comments above fields and bindings, by their names
 * @param {Record<string, string>} aliases what the text calls the elements of a binding, by the binding's name
 * @returns {string[]} lines
 */
export function bindingsOf(layout, nameOf, notes = {}, aliases = {}) {
  const left = new Set(Object.keys(notes));
  /** @type {Map<string, string[]>} */
  const structs = new Map();
  const note = (/** @type {string} */ name, /** @type {string} */ indent) => {
    if (!left.delete(name)) return [];
    return [`${indent}// ${notes[name]}`];
  };

  /** @param {Schema} schema @param {unknown} declared what the struct's name was given to @returns {string} */
  const typeOf = (schema, declared = schema) => {
    if (schema.type === "array") {
      const { elementType, elementCount } = /** @type {{ elementType: Schema, elementCount: number }} */ (
        schema
      );
      return `array<${typeOf(elementType)}${elementCount > 0 ? `, ${elementCount}` : ""}>`;
    }
    if (schema.type === "atomic") return `atomic<${typeOf(/** @type {Schema} */ (schema.inner))}>`;
    if (schema.type !== "struct") return schema.type;
    const name = nameOf(declared);
    const fields = Object.entries(schema.propTypes ?? {});
    if (!name)
      throw new Error(`the struct of ${fields.map(([field]) => field).join(", ")} is not exported from src`);
    if (!structs.has(name)) {
      const lines = fields.flatMap(([field, type]) => [...note(field, "  "), `  ${field}: ${typeOf(type)},`]);
      structs.set(name, [`struct ${name} {`, ...lines, "}", ""]);
    }
    return name;
  };

  const bindings = Object.entries(layout.entries).flatMap(([name, entry], binding) => {
    const sized = entry.storage ?? entry.uniform;
    if (!sized) throw new Error(`binding ${name} is neither storage nor uniform`);
    // Schemas may be called too, to make values: only what has no type yet is still to be told a length.
    const schema = "type" in sized ? sized : sized(0);
    const access = entry.access === "mutable" ? "read_write" : "read";
    const space = entry.storage ? `storage, ${access}` : "uniform";
    const type = aliases[name] ? `array<${aliases[name]}>` : typeOf(schema, sized);
    const line = `@group(0) @binding(${binding}) var<${space}> ${name}: ${type};`;
    return [...note(name, ""), line];
  });
  if (left.size > 0) throw new Error(`nothing is named ${[...left].join(", ")}`);
  return [...[...structs.values()].flat(), ...bindings];
}
