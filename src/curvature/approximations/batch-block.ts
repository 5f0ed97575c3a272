import { blend } from "../../linalg/blend.js";
import { checkFinite, guard, paddedView } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type {
  Block,
  BlockDescription,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockTrials,
  BlockUpdate,
} from "../blocks/block.js";
import { decide } from "../blocks/block-state.js";
import type { LayerShape } from "../blocks/examples.js";
import { BlockSettings } from "../blocks/settings.js";
import { layOutMatrices } from "../blocks/spectra.js";
import type { StoredNumber } from "../blocks/stored.js";
import { DividingTrials } from "../blocks/trials.js";
import { GATE, type LayerFit } from "./layer-fit.js";

/**
 * Approximations without a memory: each batch replaces the one before, and there is no moving mean. A batch with numbers that
 * are not finite leaves no fit; until the next one U is zero. Layers are fitted one after another. A batch that was to be left
 * out of all means is fitted as any other, since there is none. λ counts from the refresh after the fit.
 */
export class BatchBlock implements Block {
  readonly name: string;
  readonly fits: readonly LayerFit[];
  readonly means: Readonly<Record<string, GPUBuffer>> = {};
  readonly #site: BlockSite;
  readonly #settings: BlockSettings;
  /** (0, 1) to leave a fit as it is, (0, 0) to wipe it out. */
  readonly #scales: GPUBuffer;
  /** 0 for each layer that has a fit and damped it, 1 elsewhere. */
  readonly #gates: GPUBuffer;

  constructor(
    site: BlockSite,
    name: string,
    make: (manager: PipelineManager, layer: LayerShape) => LayerFit,
  ) {
    this.name = name;
    this.#site = site;
    this.#settings = new BlockSettings(site.manager, site.damping, site.emaDecay);
    this.#scales = site.manager.createStorage("fit scales", 2 * site.layers.length);
    this.#gates = site.manager.createStorage("fit gates", site.layers.length);
    this.fits = site.layers.map((layer) => make(site.manager, layer));
    this.#close();
  }

  recordSettings(recorder: Recorder): void {
    this.#settings.record(recorder);
  }

  get damping(): number {
    return this.#settings.damping;
  }

  set damping(value: number) {
    this.#settings.damping = value;
  }

  get storedDamping(): StoredNumber | undefined {
    return this.#settings.stored;
  }

  set storedDamping(number: StoredNumber | undefined) {
    this.#settings.stored = number;
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    const own = Object.fromEntries(
      this.fits.flatMap(({ tensors }, layer) =>
        Object.entries(tensors).map(([name, buffer]) => [`${layer}.${name}`, buffer]),
      ),
    );
    return { ...own, gates: this.#gates };
  }

  accumulate(recorder: Recorder, updates: readonly BlockUpdate[]): void {
    for (const { layer, statistics } of updates) {
      const fit = this.fits[layer]!;
      scoped(recorder, (inner) => {
        const groups = fit.examples(inner, statistics);
        inner.clear(fit.status);
        checkFinite(
          inner,
          fit.status,
          groups.flatMap(({ a, b }) => [a, b]).map((x) => ({ x, flag: GATE.word, bit: GATE.bit })),
        );
        const made = fit.fit(inner, groups);
        checkFinite(
          inner,
          fit.status,
          made.map((x) => ({ x, flag: GATE.word, bit: GATE.bit })),
        );
        this.#decide(inner, "fitted", layer);
        // What is not finite must not come back from a checkpoint either.
        const unread = paddedView(inner.scratch(4), 0, 1, 1);
        blend(
          inner,
          made.map((S) => ({ T: unread, S, scale: layer })),
          this.#scales,
        );
      });
    }
  }

  refresh(recorder: Recorder, layers: readonly number[] = [...this.fits.keys()]): void {
    const { damping, storedDamping } = this;
    const lambda = storedDamping ? { ...storedDamping, otherwise: damping } : damping;
    for (const layer of layers) {
      this.fits[layer]!.damp(recorder, lambda);
      this.#decide(recorder, "damped", layer);
    }
  }

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    this.#solve(recorder, items, 1);
  }

  /** Kinds that are damped otherwise than by λI have no other solution to offer than their own. */
  trials(multipliers: readonly number[]): BlockTrials {
    return new DividingTrials(multipliers, this, (recorder, items, multiplier) =>
      this.#solve(recorder, items, multiplier),
    );
  }

  #solve(recorder: Recorder, items: readonly BlockItem[], multiplier: number): void {
    const { entries, states } = this.#site;
    const { length, views } = layOutMatrices(items.map(({ layer }) => this.#site.layers[layer]!));
    const free = views(recorder.scratch(length));
    for (const [k, { layer, G }] of items.entries()) {
      this.fits[layer]!.invert(recorder, G, free[k]!, states.damping(entries[layer]!, multiplier));
    }
    guard(
      recorder,
      this.#gates,
      items.map(({ layer, into }, k) => ({ source: free[k]!, target: into, flag: layer })),
    );
  }

  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    for (const { layer, V, into } of products) this.fits[layer]!.apply(recorder, V, into);
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `${out} × ${inputs}, fitted to each batch`,
    }));
  }

  reset(): void {
    const { device } = this.#site.manager;
    const encoder = device.createCommandEncoder();
    for (const buffer of Object.values(this.tensors)) encoder.clearBuffer(buffer);
    device.queue.submit([encoder.finish()]);
    this.#close();
  }

  dispose(): void {
    this.#settings.dispose();
    for (const buffer of [this.#scales, this.#gates]) this.#site.manager.destroyBuffer(buffer);
    for (const fit of this.fits) fit.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Nothing is fitted. */
  #close(): void {
    const { manager, layers, states, entries } = this.#site;
    manager.device.queue.writeBuffer(this.#gates, 0, new Float32Array(layers.length).fill(1));
    states.reset(entries);
  }

  #decide(recorder: Recorder, decision: "fitted" | "damped", layer: number): void {
    const { entries, states } = this.#site;
    decide(recorder, decision, [{ entry: entries[layer]!, layer }], {
      settings: this.#settings,
      layers: states.buffer,
      status: this.fits[layer]!.status,
      scales: this.#scales,
      counts: this.#gates,
    });
  }
}
