// Labelled form controls.
import { element, uniqueId } from "./dom.js";

export interface Control<T> {
  readonly element: HTMLElement;
  /** Setting it moves the control and calls nobody. */
  value: T;
  disabled: boolean;
}

/** A slider with its value beside the label. `onInput` comes while it moves. */
export function slider(options: {
  label: string;
  min: number;
  max: number;
  step?: number;
  value: number;
  /** The value in words, also for screen readers. */
  format?: (value: number) => string;
  onInput?: (value: number) => void;
}): Control<number> {
  const { label, min, max, step = 1, format = String, onInput } = options;
  const id = uniqueId("slider");
  const input = element("input", { type: "range", id, min, max, step });
  // For the eyes; a screen reader gets it as the slider's own value.
  const output = element("span", { class: "control-value", "aria-hidden": "true" });
  const show = () => {
    output.textContent = format(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.value = String(options.value);
  show();
  input.addEventListener("input", () => {
    show();
    onInput?.(Number(input.value));
  });
  const made = element(
    "div",
    { class: "control" },
    element("div", { class: "control-head" }, element("label", { for: id }, label), output),
    input,
  );
  const write = (value: number) => {
    input.value = String(value);
    show();
  };
  return control(made, input, () => Number(input.value), write);
}

/** A slider over a list of numbers. */
export function listSlider<T extends number | string>(options: {
  label: string;
  values: readonly T[];
  /** The first of the list unless it is in it. */
  value: T;
  format?: (value: T) => string;
  onInput?: (value: T) => void;
}): Control<number> {
  const { label, values, value, format = String, onInput } = options;
  return slider({
    label,
    min: 0,
    max: values.length - 1,
    value: Math.max(0, values.indexOf(value)),
    format: (index) => format(values[index]!),
    onInput: (index) => onInput?.(values[index]!),
  });
}

/** A choice of a few. */
export function select<T extends string>(options: {
  label: string;
  options: readonly { value: T; label: string }[];
  value: T;
  onInput?: (value: T) => void;
}): Control<T> {
  const id = uniqueId("select");
  const input = element(
    "select",
    { id },
    ...options.options.map(({ value, label }) => element("option", { value }, label)),
  );
  input.value = options.value;
  input.addEventListener("input", () => options.onInput?.(input.value as T));
  const head = element("div", { class: "control-head" }, element("label", { for: id }, options.label));
  const write = (value: T) => {
    input.value = value;
  };
  return control(element("div", { class: "control" }, head, input), input, () => input.value as T, write);
}

/** One thing that is on or off. */
export function checkbox(options: {
  label: string;
  value: boolean;
  onInput?: (value: boolean) => void;
}): Control<boolean> {
  const id = uniqueId("checkbox");
  const input = element("input", { type: "checkbox", id });
  input.checked = options.value;
  input.addEventListener("input", () => options.onInput?.(input.checked));
  const label = element("label", { for: id }, options.label);
  const write = (value: boolean) => {
    input.checked = value;
  };
  const made = element("div", { class: "control control-check" }, input, label);
  return control(made, input, () => input.checked, write);
}

/** What all controls hand back. */
function control<T>(
  made: HTMLElement,
  input: HTMLInputElement | HTMLSelectElement,
  read: () => T,
  write: (value: T) => void,
): Control<T> {
  return {
    element: made,
    get value() {
      return read();
    },
    set value(value) {
      write(value);
    },
    get disabled() {
      return input.disabled;
    },
    set disabled(disabled) {
      input.disabled = disabled;
    },
  };
}

export function button(options: {
  label: string;
  primary?: boolean;
  disabled?: boolean;
  onClick: () => void;
}): HTMLButtonElement {
  const { label, primary, disabled, onClick } = options;
  return element(
    "button",
    { type: "button", class: primary ? "primary" : undefined, disabled, onclick: onClick },
    label,
  );
}

export function buttonRow(...buttons: readonly HTMLElement[]): HTMLElement {
  return element("div", { class: "buttons" }, ...buttons);
}

/** Controls in columns, as many as fit. */
export function controlGrid(...controls: readonly { readonly element: HTMLElement }[]): HTMLElement {
  return element("div", { class: "controls" }, ...controls.map((control) => control.element));
}
