import { type TwinRequest, twinBlock } from "./twin.js";

addEventListener("message", ({ data }: MessageEvent<TwinRequest>) => {
  postMessage(twinBlock(data));
});
