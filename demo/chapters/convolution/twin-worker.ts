import type { Problem } from "./problem.js";
import { type TwinInput, twinStudy } from "./twin.js";

addEventListener("message", ({ data }: MessageEvent<{ problem: Problem; input: TwinInput }>) => {
  postMessage(twinStudy(data.problem, data.input));
});
