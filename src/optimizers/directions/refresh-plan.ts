/** Which layers' curvature is renewed in which step. */
import type { Curvature } from "../../curvature/index.js";
import { refreshes } from "./kfac-settings.js";

/** Work that is not worth sharing out among steps: one factor of 256 rows. */
const LEAST_SHARE = 256 ** 3;

/** What a step's refreshes depend on, beside its number. */
export interface RefreshSettings {
  readonly inverseEvery: number;
  /** Undefined: as `inverseEvery`. */
  readonly basesEvery?: number | undefined;
  readonly inverses: "staggered" | "together";
}

/** Layers that are renewed together, in the steps `phase + 1` of each period. */
export interface RefreshShare {
  readonly layers: readonly number[];
  readonly phase: number;
}

/**
 * Shares layers out among the steps of a period by their work, the largest first, each to where there is least: in as few shares as
 * keep the largest of them as small as it can be, since layers that are renewed together share their dispatches. What takes
 * next to nothing goes with the first.
 */
export function shareOut(costs: readonly number[], period: number): RefreshShare[] {
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  const largest = Math.max(LEAST_SHARE, ...costs);
  const count = Math.max(1, Math.min(period, Math.ceil(total / largest)));
  const shares = Array.from({ length: count }, () => ({ layers: [] as number[], cost: 0 }));
  const order = [...costs.keys()].sort((a, b) => costs[b]! - costs[a]! || a - b);
  for (const layer of order) {
    const cost = costs[layer]!;
    const least = cost === 0 ? shares[0]! : shares.reduce((best, one) => (one.cost < best.cost ? one : best));
    least.layers.push(layer);
    least.cost += cost;
  }
  return shares.map(({ layers }, k) => ({
    layers: layers.sort((a, b) => a - b),
    phase: Math.floor((k * period) / count),
  }));
}

/**
 * The plan of a curvature's refreshes. It follows from sizes and the step's number alone, so that a run that is resumed, and each
 * of several processes, has the same. Early on, at steps 1, 2, 4, 8 …, all layers are renewed, share by share: step 1 therefore has every kernel that a later
 * step has. Layers whose blocks find eigenvectors have the period `basesEvery`, all others `inverseEvery`.
 */
export class RefreshPlan {
  readonly #groups: readonly { layers: readonly number[]; costs: readonly number[]; eigenbases: boolean }[];
  readonly #known = new Map<string, readonly RefreshShare[]>();

  constructor(curvature: Curvature) {
    const places = curvature.layers.map((_, layer) => ({ layer, ...curvature.place(layer) }));
    this.#groups = [false, true]
      .map((eigenbases) => {
        const own = places.filter(({ block }) => (block.eigenbases ?? false) === eigenbases);
        const costs = own.map(({ block, index }) => block.refreshCost?.(index) ?? 0);
        return { layers: own.map(({ layer }) => layer), costs, eigenbases };
      })
      .filter(({ layers }) => layers.length > 0);
  }

  /** Lists of layers to renew in a step, each together. */
  at(number: number, { inverseEvery, basesEvery = inverseEvery, inverses }: RefreshSettings): number[][] {
    return this.#groups.flatMap((group, index) => {
      const period = group.eigenbases ? basesEvery : inverseEvery;
      const shares = this.#shares(index, period, inverses);
      const due = (phase: number) =>
        number <= period ? refreshes(number, period) : (number - 1) % period === phase;
      return shares
        .filter(({ phase }) => due(phase))
        .map((share) => share.layers.map((place) => group.layers[place]!));
    });
  }

  #shares(index: number, period: number, inverses: RefreshSettings["inverses"]): readonly RefreshShare[] {
    const key = `${index} ${period} ${inverses}`;
    const known = this.#known.get(key);
    if (known) return known;
    const { costs } = this.#groups[index]!;
    const made = shareOut(costs, inverses === "staggered" ? period : 1);
    this.#known.set(key, made);
    return made;
  }
}
