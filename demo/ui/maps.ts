// Heat maps side by side whose squares are all of one size.
import type { Heatmap } from "./index.js";

/** Pixels of the screen for a number, at most. */
const LARGEST = 12;

export interface MapGrid {
  /** Numbers along a side of the maps. */
  resize(count: number): void;
}

/**
 * Keeps the maps of a grid as wide as its columns allow in whole pixels of the screen for each number: otherwise some
 * numbers would be wider than others, which shows as a pattern that is not there.
 */
export function mapGrid(grid: HTMLElement, maps: readonly Heatmap[], signal: AbortSignal): MapGrid {
  let count = 1;
  const layOut = () => {
    const column = Number.parseFloat(getComputedStyle(grid).gridTemplateColumns);
    if (!Number.isFinite(column)) return;
    const ratio = devicePixelRatio || 1;
    // The border takes a pixel on each side.
    const pixels = Math.min(LARGEST * ratio, Math.max(1, Math.floor(((column - 2) * ratio) / count)));
    for (const map of maps)
      map.element.style.setProperty("--heatmap-size", `${(pixels * count) / ratio + 2}px`);
  };
  const observer = new ResizeObserver(layOut);
  observer.observe(grid);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  return {
    resize(next) {
      count = Math.max(1, next);
      layOut();
    },
  };
}

/** The magnitude that `share` of the numbers that are not zero do not exceed: a few large ones would hide the others. */
export function quantile(data: ArrayLike<number>, share: number): number {
  const sizes = Array.from(data, Math.abs).filter((size) => size > 0);
  sizes.sort((a, b) => a - b);
  return sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))] ?? 0;
}
