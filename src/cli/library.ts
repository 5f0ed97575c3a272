/**
 * The library, as its users in Node have it. Commands get it from their environment when they need it, so that --help is
 * quick and works without WebGPU, and so that tests can put stand-ins in the place of what needs a GPU. Only types are
 * imported from it otherwise.
 */
import type * as node from "../node.js";

export type Library = typeof node;
