import type { StridedCopy } from "../linalg/index.js";
import type { Workspace } from "../memory/workspace.js";
import { imageCopy } from "./flatten.js";
import type { ImageForm } from "./form.js";
import type { Layer } from "./layer.js";
import { Values } from "./values.js";

/** Images that a network takes: batches hold them as vectors, (channel, y, x). Nothing goes back through it. */
export class ImageInput implements Layer {
  readonly kind = "input";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;

  constructor(workspace: Workspace, input: Values, form: ImageForm, name: string) {
    this.name = name;
    this.inputs = [input];
    this.input = input;
    const place = workspace.ownValues(form.height * form.width).place(form.channels);
    this.output = new Values(form, place, undefined);
  }

  inputCopies(count: number): StridedCopy[] {
    const shape = this.output.shape!;
    return [imageCopy(shape, this.output.rows(count), this.input.rows(count), "unflatten")];
  }

  forward(): void {}

  backward(): void {}
}
