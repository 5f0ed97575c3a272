/** Data sets and checkpoints on disk: the part of the room that needs Node's file system. */
export { readCheckpoint, writeCheckpoint } from "./checkpoint-file.js";
export { replaceFile } from "./files.js";
export { readIdxFolder } from "./idx-folder.js";
