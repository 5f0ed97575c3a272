// The chapters, each loaded when it is opened.
import type { Mount } from "../ui/chapter.js";

export interface Chapter {
  /** The address: `#linear`. */
  id: string;
  /** In the navigation. */
  label: string;
  load(): Promise<{ mount: Mount }>;
}

export const chapters: readonly Chapter[] = [
  { id: "linear", label: "One step", load: () => import("./linear/index.js") },
  { id: "race", label: "The race", load: () => import("./race/index.js") },
  { id: "convolution", label: "Convolution", load: () => import("./convolution/index.js") },
  { id: "gpu", label: "Your GPU", load: () => import("./gpu/index.js") },
];
