/** Opening the engine, watching it, and saying what went wrong. */
export { type Explanation, explain } from "./failures.js";
export { EngineHost } from "./host.js";
