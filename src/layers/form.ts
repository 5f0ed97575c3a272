import { shown } from "../arguments.js";
import { ArgumentError, ShapeError, type ShapeLike } from "../errors.js";
import type { ImageShape } from "./conv/geometry.js";
import { requireSize } from "./sizes.js";

/** So many numbers an example. */
export interface VectorForm {
  readonly kind: "vector";
  readonly features: number;
}

/** An image an example, channels at each pixel. */
export interface ImageForm extends ImageShape {
  readonly kind: "image";
}

/** `length` positions t an example, `features` numbers at each. */
export interface SequenceForm {
  readonly kind: "sequence";
  readonly length: number;
  readonly features: number;
}

/** Whole numbers below `vocabulary`: one an example or, with `length`, so many. */
export interface IndicesForm {
  readonly kind: "indices";
  readonly vocabulary: number;
  readonly length: number | undefined;
}

/** What a value of a network is for one example. */
export type Form = VectorForm | ImageForm | SequenceForm | IndicesForm;

/** [channels, height, width] of images; batches hold an image's numbers in that order. */
export type InputShape = readonly [channels: number, height: number, width: number];

/**
 * What a network takes: so many numbers, images, sequences (numbers in the order (t, feature)), or indices from 0 to
 * `indices` − 1 in a `Uint32Array`, one an example or `length`.
 */
export type InputForm =
  | number
  | InputShape
  | { readonly length: number; readonly features: number }
  | { readonly indices: number; readonly length?: number };

/** @throws ArgumentError for anything that is no form, or sizes that are not positive integers. */
export function formOfInput(operation: string, argument: string, input: InputForm): Form {
  const size = (value: number, name = "") => {
    requireSize(operation, `${argument}${name}`, value);
    return value;
  };
  if (typeof input === "number") return { kind: "vector", features: size(input) };
  if (Array.isArray(input) && input.length === 3) {
    const [channels, height, width] = input as InputShape;
    return { kind: "image", channels: size(channels), height: size(height), width: size(width) };
  }
  if (typeof input === "object" && input !== null && !Array.isArray(input)) {
    if ("indices" in input) {
      const { indices, length } = input;
      if (length !== undefined) size(length, ".length");
      return { kind: "indices", vocabulary: size(indices, ".indices"), length };
    }
    if ("length" in input && "features" in input) {
      const { length, features } = input;
      return { kind: "sequence", length: size(length, ".length"), features: size(features, ".features") };
    }
  }
  throw new ArgumentError(
    operation,
    argument,
    `must be a number of features, [channels, height, width], { length, features } or { indices, length }, got ${shown(input)}`,
  );
}

/** Numbers of an example. */
export function featuresOf(form: Form): number {
  switch (form.kind) {
    case "vector":
      return form.features;
    case "image":
      return form.channels * form.height * form.width;
    case "sequence":
      return form.length * form.features;
    default:
      return form.length ?? 1;
  }
}

/** A form's sizes, for messages. */
export function sizesOf(form: Form): ShapeLike {
  switch (form.kind) {
    case "vector":
      return [form.features];
    case "image":
      return [form.channels, form.height, form.width];
    case "sequence":
      return [`${form.length} positions`, form.features];
    default:
      return [form.length === undefined ? "index" : `${form.length} indices`];
  }
}

/** Whether two values can be added up. */
export function sameForm(a: Form, b: Form): boolean {
  return a.kind === b.kind && sizesOf(a).join() === sizesOf(b).join();
}

/**
 * An image or, of one line, a sequence: that is how the GPU sees it. Undefined for others.
 */
export function imageOf(form: Form): ImageShape | undefined {
  if (form.kind === "image") return form;
  if (form.kind === "sequence") return { channels: form.features, height: 1, width: form.length };
  return undefined;
}

/** The image that a layer takes. @throws ShapeError for anything else */
export function requireImage(name: string, form: Form): ImageForm {
  if (form.kind === "image") return form;
  return refuseForm(name, form, ["channels", "height", "width"], "it takes images and nothing else");
}

/** @throws ShapeError for a form that a layer cannot take. */
export function refuseForm(name: string, form: Form, expected: ShapeLike | string, hint: string): never {
  const advice = form.kind === "indices" ? "put oneHot() before it" : hint;
  throw new ShapeError("network", `the input of ${name}`, sizesOf(form), expected, advice);
}
