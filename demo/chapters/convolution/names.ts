// What the approximations are called.
import type { ApproximationName } from "./study.js";

export interface Named {
  title: string;
  /** Under the heat map. */
  caption: string;
}

export const NAMES: Readonly<Record<ApproximationName, Named>> = {
  expand: { title: "KFC (expand)", caption: "positions taken as examples" },
  reduce: { title: "Reduce", caption: "mean input, summed derivative" },
  ekfac: { title: "EKFAC", caption: "KFC’s basis, refitted values" },
  kfoc: { title: "KFOC", caption: "the nearest Kronecker product" },
  meanFluctuation: { title: "Mean + fluctuation", caption: "two Kronecker products" },
};
