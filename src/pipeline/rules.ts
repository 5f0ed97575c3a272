/** What operations ask of the objects that they record with, in words: not by class, so that what stands in for one will do. */
import { objectLike } from "../arguments.js";

export const MANAGER = objectLike("a pipeline manager (engine.manager)", "createStorage", "destroyBuffer");
export const RECORDER = objectLike("a recorder (manager.record())", "dispatch");
