// Errors in words that somebody can act on.
import {
  AbortedError,
  DeviceLostError,
  KfacError,
  LimitError,
  NoAdapterError,
  OutOfMemoryError,
} from "kfac-webgpu";

export interface Explanation {
  title: string;
  what: string;
  todo: string[];
  /** Of two errors the more urgent one is shown: what follows from a failure tells less than the failure. */
  urgency: 0 | 1 | 2;
  /** What the panel's button does: open a new engine and go on, or mount the chapter again. */
  remedy: "replace" | "remount";
  button: string;
  detail: string;
}

/** What to tell the visitor; nothing for work that was stopped on purpose. */
export function explain(error: unknown): Explanation | undefined {
  if (isAbort(error)) return undefined;
  const detail = describe(error);
  if (error instanceof NoAdapterError) {
    return {
      ...("gpu" in navigator && navigator.gpu ? noAdapter() : noWebGpu()),
      urgency: 1,
      remedy: "remount",
      button: "Try again",
      detail,
    };
  }
  if (error instanceof DeviceLostError) {
    return {
      title: "The GPU device was lost",
      what: "The browser took the GPU away from this page. That happens when the driver restarts or is updated, when a laptop changes between two GPUs, or when the GPU process ends. What was on the GPU is gone; what the page keeps in main memory is not.",
      todo: [
        "Press the button: the page opens the GPU again and goes on from its last checkpoint.",
        "If it happens again and again, close other tabs that use the GPU, or restart the browser.",
      ],
      urgency: 2,
      remedy: "replace",
      button: "Open the GPU again",
      detail,
    };
  }
  if (
    error instanceof OutOfMemoryError ||
    ("GPUOutOfMemoryError" in globalThis && error instanceof GPUOutOfMemoryError)
  ) {
    return {
      title: "The GPU has no memory left",
      what: "A buffer could not be made. Nothing else was harmed.",
      todo: [
        "Choose a smaller network or batch.",
        "Close other tabs and programs that use the GPU, then try again.",
      ],
      urgency: 1,
      remedy: "remount",
      button: "Try again",
      detail,
    };
  }
  if (error instanceof LimitError) {
    return {
      title: "This GPU's limits are too small",
      what: "The adapter offers less than WebGPU's usual limits, or the problem is larger than it allows.",
      todo: [
        "Choose a smaller network or batch.",
        "Try a browser that is up to date, or another GPU where the machine has one.",
      ],
      urgency: 1,
      remedy: "remount",
      button: "Try again",
      detail,
    };
  }
  return {
    title: "Something went wrong",
    what:
      error instanceof KfacError
        ? "The library refused or could not do what the page asked."
        : "The page ran into an error that it did not expect.",
    todo: ["Try again. If it stays, reload the page."],
    urgency: 0,
    remedy: "remount",
    button: "Try again",
    detail,
  };
}

function describe(error: unknown): string {
  if (typeof error !== "object" || error === null || !("message" in error)) return String(error);
  return `${error instanceof Error ? error.name : error.constructor.name}: ${error.message}`;
}

function isAbort(error: unknown): boolean {
  return error instanceof AbortedError || (error instanceof DOMException && error.name === "AbortError");
}

function noWebGpu(): Pick<Explanation, "title" | "what" | "todo"> {
  const secure = globalThis.isSecureContext;
  return {
    title: "This browser offers no WebGPU",
    what: secure
      ? "The page computes on the GPU through WebGPU, and this browser does not have it, or has it switched off."
      : "WebGPU is only there on secure pages: https, or an address on this machine.",
    todo: secure ? browserAdvice() : ["Open the page over https, or serve it on localhost."],
  };
}

function noAdapter(): Pick<Explanation, "title" | "what" | "todo"> {
  return {
    title: "No GPU adapter was found",
    what: "The browser has WebGPU, but offers no adapter: the GPU or its driver is on the browser's block list, hardware acceleration is off, or the machine has no GPU.",
    todo: [
      "Switch on hardware acceleration in the browser's settings (System) and restart it.",
      "Update the graphics driver.",
      "In Chrome or Edge, chrome://gpu says what is blocked and why. On Linux, the Vulkan and WebGPU flags in chrome://flags may be needed.",
    ],
  };
}

/** The advice for this browser first, then what holds for all. */
function browserAdvice(): string[] {
  const agent = navigator.userAgent;
  if (/Firefox\//.test(agent)) {
    return [
      "Firefox has WebGPU on Windows from version 141 and on Macs with Apple silicon from 145; elsewhere use Firefox Nightly, or set dom.webgpu.enabled in about:config.",
      "Or open the page in Chrome, Edge or Safari 26.",
    ];
  }
  if (/Version\/[\d.]+.*Safari\//.test(agent) && !/Chrom/.test(agent)) {
    return [
      "Safari has WebGPU from version 26 (macOS, iOS and iPadOS 26). In older ones it can be switched on under Develop, Feature Flags, WebGPU.",
      "Or open the page in Chrome or Edge.",
    ];
  }
  return [
    "Chrome and Edge have WebGPU from version 113 on Windows, macOS and ChromeOS, and from 121 on Android 12 or newer.",
    "On Linux it depends on the GPU and the driver; where it is not on, chrome://flags/#enable-unsafe-webgpu turns it on.",
    "If the browser is up to date, switch on hardware acceleration in its settings.",
  ];
}
