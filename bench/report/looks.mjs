// Everyone has one colour and one mark throughout. The colours are Okabe and Ito's, which do not depend on telling red from
// green. The first is drawn on top.

/** @type {import("../../src/charts/index.js").Looks} */
export const LOOKS = {
  "kfac-webgpu": { light: "#0072b2", dark: "#4db2ee", mark: "circle", strong: true },
  "jax-webgpu": { light: "#d55e00", dark: "#f08040", mark: "circle" },
  "jax-wasm": { light: "#c98500", dark: "#f0b030", mark: "square" },
  "tfjs-webgpu": { light: "#00805c", dark: "#20c095", mark: "circle" },
  "tfjs-wasm": { light: "#3f9fd0", dark: "#8fcff5", mark: "square" },
  "numpy-ts": { light: "#b8568c", dark: "#e39ac2", mark: "diamond" },
  "ml-matrix": { light: "#777777", dark: "#aaaaaa", mark: "triangle" },
  scipy: { light: "#7a5a2f", dark: "#c9a56f", mark: "diamond" },
  torch: { light: "#222222", dark: "#eeeeee", mark: "triangle" },
  "torch-tf32": { light: "#8a2be2", dark: "#b98cff", mark: "triangle" },
};
