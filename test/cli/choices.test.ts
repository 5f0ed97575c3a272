import { describe, expect, it } from "vitest";
import { ACTIVATIONS, LOSS_KINDS, OPTIMIZERS, TITLES } from "../../src/cli/choices.js";
import { Engine } from "../../src/engine.js";
import type { ActivationModule, Loss } from "../../src/network/index.js";
import * as library from "../../src/node.js";
import { activation, linear, lossAndGradients, matrix } from "../../src/reference/index.js";

describe("what the command line names", () => {
  it("activations are the library's, and the reference's", () => {
    const { relu, leakyRelu, tanh, logistic } = library;
    // A new activation of the library's belongs in both lists.
    const makers: Record<ActivationModule["kind"], () => ActivationModule> = {
      relu,
      leakyRelu,
      tanh,
      logistic,
    };
    expect([...ACTIVATIONS].sort()).toEqual(Object.keys(makers).sort());
    for (const name of ACTIVATIONS) {
      expect(makers[name]().kind).toBe(name);
      expect(activation(name)).toBeDefined();
    }
  });

  it("losses are the library's, and the reference's", () => {
    const { softmaxCrossEntropy, halfSquaredError, sigmoidCrossEntropy } = library;
    const makers: Record<Loss["kind"], () => Loss> = {
      softmaxCrossEntropy,
      halfSquaredError,
      sigmoidCrossEntropy,
    };
    expect(Object.values(LOSS_KINDS).sort()).toEqual(Object.keys(makers).sort());
    const [X, T] = [matrix(1, 2, [1, 2]), matrix(1, 2, [0, 1])];
    for (const kind of Object.values(LOSS_KINDS)) {
      expect(lossAndGradients([linear(matrix(2, 3))], kind, X, T).loss).toBeGreaterThan(0);
    }
  });

  it("optimisers are the engine's, and have titles", () => {
    for (const name of OPTIMIZERS) {
      expect(typeof Engine.prototype[name]).toBe("function");
      expect(TITLES[name]).toMatch(/^\S/);
    }
  });
});
