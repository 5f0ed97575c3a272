/**
 * The typed errors of the package. Each extends `KfacError`, carries a stable `code` for programs, the facts of the
 * failure as fields, and a message of one sentence that says what to do.
 */

/** Stable machine-readable names, one per error class. */
export type KfacErrorCode =
  | "shape"
  | "argument"
  | "data"
  | "checkpoint"
  | "unsupported-layer"
  | "no-adapter"
  | "limit"
  | "feature"
  | "device-lost"
  | "out-of-memory"
  | "submission"
  | "shader"
  | "not-positive-definite"
  | "aborted";

/** Base class: `error instanceof KfacError` recognises every error this package throws on purpose. */
export class KfacError extends Error {
  readonly code: KfacErrorCode;

  constructor(code: KfacErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A matrix shape as `[rows, cols]`, or the shape of an array of any rank. `"?"` marks a size that may be anything. */
export type ShapeLike = readonly (number | string)[];

function shapeText(shape: ShapeLike | string): string {
  return typeof shape === "string" ? shape : `[${shape.join(" × ")}]`;
}

/** An operand's shape does not fit the operation. Thrown before anything is recorded or written. */
export class ShapeError extends KfacError {
  override readonly name = "ShapeError";
  readonly operation: string;
  readonly operand: string;
  readonly actualShape: ShapeLike | string;
  readonly expectedShape: ShapeLike | string;
  readonly hint: string | undefined;

  constructor(
    operation: string,
    operand: string,
    actualShape: ShapeLike | string,
    expectedShape: ShapeLike | string,
    hint?: string,
  ) {
    const advice = hint ?? `pass ${operand} with the expected shape`;
    super(
      "shape",
      `${operation}: ${operand} has shape ${shapeText(actualShape)}, expected ${shapeText(expectedShape)}; ${advice}.`,
    );
    this.operation = operation;
    this.operand = operand;
    this.actualShape = actualShape;
    this.expectedShape = expectedShape;
    this.hint = hint;
  }
}

/** An argument has a value that makes no sense (a negative damping, an empty list, an unknown option). */
export class ArgumentError extends KfacError {
  override readonly name = "ArgumentError";
  readonly operation: string;
  readonly argument: string;

  /** `message` says what is wrong and what to pass: `must be a non-negative number, got -1`. */
  constructor(operation: string, argument: string, message: string) {
    super("argument", `${operation}: ${argument} ${message}.`);
    this.operation = operation;
    this.argument = argument;
  }
}

/** A data file or array is malformed. `source` names the file or array. */
export class DataError extends KfacError {
  override readonly name = "DataError";
  readonly source: string;
  /** The size or value found, where the failure is about one. */
  readonly actual: number | string | undefined;
  /** The size or value needed, where the failure is about one. */
  readonly expected: number | string | undefined;

  constructor(
    source: string,
    message: string,
    sizes: { actual?: number | string; expected?: number | string } = {},
  ) {
    super("data", `${source}: ${message}.`);
    this.source = source;
    this.actual = sizes.actual;
    this.expected = sizes.expected;
  }
}

/** A checkpoint is malformed, of another version, or belongs to another network. `field` names the part at fault. */
export class CheckpointError extends KfacError {
  override readonly name = "CheckpointError";
  readonly field: string;

  constructor(field: string, message: string, options?: ErrorOptions) {
    super("checkpoint", `Checkpoint ${field}: ${message}.`, options);
    this.field = field;
  }
}

/** A layer has no K-FAC treatment and no fallback was named. */
export class UnsupportedLayerError extends KfacError {
  override readonly name = "UnsupportedLayerError";
  readonly layer: string;
  readonly kind: string;

  constructor(
    layer: string,
    kind: string,
    hint = 'name a fallback for it (for example "sgd") or leave it out',
  ) {
    super("unsupported-layer", `Layer ${layer} (${kind}) is not supported by K-FAC; ${hint}.`);
    this.layer = layer;
    this.kind = kind;
  }
}

/** No WebGPU adapter was found. */
export class NoAdapterError extends KfacError {
  override readonly name = "NoAdapterError";
  readonly reason: string;

  constructor(
    reason: string,
    hint = "use a browser with WebGPU enabled or, in Node, install the npm package webgpu and a Vulkan driver",
    options?: ErrorOptions,
  ) {
    super("no-adapter", `No WebGPU adapter: ${reason}; ${hint}.`, options);
    this.reason = reason;
  }
}

/** A device limit is too small for what was asked. Both numbers are in the limit's own unit. */
export class LimitError extends KfacError {
  override readonly name = "LimitError";
  readonly limit: string;
  readonly needed: number;
  readonly available: number;

  constructor(
    limit: string,
    needed: number,
    available: number,
    hint = "make the problem smaller or request a device with a higher limit",
  ) {
    super("limit", `Device limit ${limit} is ${available} and ${needed} is needed; ${hint}.`);
    this.limit = limit;
    this.needed = needed;
    this.available = available;
  }
}

/** The device lacks an optional feature that was asked for; without it everything else works. */
export class FeatureError extends KfacError {
  override readonly name = "FeatureError";
  readonly operation: string;
  /** WebGPU's name of the feature. */
  readonly feature: string;

  /** `what` is what was asked for and needs the feature, `hint` what to do without it. */
  constructor(operation: string, what: string, feature: string, hint: string) {
    super(
      "feature",
      `${operation}: ${what} needs the device feature ${feature}, which this device has not; ${hint}, or use a device that was requested with it.`,
    );
    this.operation = operation;
    this.feature = feature;
  }
}

/** The GPU device was lost; nothing created on it can be used again. */
export class DeviceLostError extends KfacError {
  override readonly name = "DeviceLostError";
  readonly reason: string;

  constructor(reason: string, detail = "", options?: ErrorOptions) {
    const more = detail === "" ? "" : `: ${detail}`;
    super(
      "device-lost",
      `The GPU device was lost (${reason}${more}); create a new engine and resume from the last checkpoint.`,
      options,
    );
    this.reason = reason;
  }
}

/** GPU memory ran out. `bytes` is the size asked for, when known. */
export class OutOfMemoryError extends KfacError {
  override readonly name = "OutOfMemoryError";
  readonly operation: string;
  readonly bytes: number | undefined;

  constructor(operation: string, bytes?: number, options?: ErrorOptions) {
    const size = bytes === undefined ? "" : ` for ${bytes} bytes`;
    super(
      "out-of-memory",
      `${operation}: the GPU has no memory left${size}; use a smaller batch or layer, or dispose of what is not needed.`,
      options,
    );
    this.operation = operation;
    this.bytes = bytes;
  }
}

/** The GPU refused commands: nothing of them was done, and what was to be read back was not computed. */
export class SubmissionError extends KfacError {
  override readonly name = "SubmissionError";
  /** The device's own words. */
  readonly detail: string;

  constructor(detail: string, options?: ErrorOptions) {
    const [first = ""] = detail.trim().split("\n");
    super(
      "submission",
      `The GPU refused the commands and did nothing of them (${first.replace(/\.$/, "")}); do not destroy buffers that are in use, nor mix those of several devices.`,
      options,
    );
    this.detail = detail;
  }
}

/** A shader did not compile or its pipeline could not be made. `line` is 1-based in the kernel's WGSL text. */
export class ShaderError extends KfacError {
  override readonly name = "ShaderError";
  readonly kernel: string;
  readonly line: number | undefined;
  /** The compiler's own words. */
  readonly detail: string;

  constructor(kernel: string, line: number | undefined, message: string, options?: ErrorOptions) {
    const where = line === undefined ? "" : `, line ${line}`;
    super(
      "shader",
      `Shader ${kernel}${where}: ${message}; check the override constants passed and report the adapter's name.`,
      options,
    );
    this.kernel = kernel;
    this.line = line;
    this.detail = message;
  }
}

/** A matrix that must be positive definite is not, even after damping. */
export class NotPositiveDefiniteError extends KfacError {
  override readonly name = "NotPositiveDefiniteError";
  readonly operation: string;
  readonly operand: string;
  /** Index of the first bad pivot, when known. */
  readonly pivot: number | undefined;

  constructor(operation: string, operand: string, pivot?: number) {
    const where = pivot === undefined ? "" : ` (pivot ${pivot})`;
    super(
      "not-positive-definite",
      `${operation}: ${operand} is not positive definite${where}; check that it is symmetric or raise the damping.`,
    );
    this.operation = operation;
    this.operand = operand;
    this.pivot = pivot;
  }
}

/** The caller's `AbortSignal` fired. */
export class AbortedError extends KfacError {
  override readonly name = "AbortedError";
  readonly operation: string;
  readonly reason: unknown;

  constructor(operation: string, reason?: unknown) {
    super("aborted", `${operation} was stopped by its AbortSignal; call it again to go on.`, {
      cause: reason,
    });
    this.operation = operation;
    this.reason = reason;
  }
}
