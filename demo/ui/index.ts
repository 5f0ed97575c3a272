/** The widgets of the page: plain functions that make an element and hand back how to change it. */
export type { DemoContext, Mount, MountedChapter } from "./chapter.js";
export * from "./controls.js";
export * from "./curves.js";
export * from "./details-table.js";
export * from "./dom.js";
export * from "./format.js";
export * from "./frame.js";
export * from "./heatmap.js";
export * from "./math.js";
export * from "./panel.js";
export * from "./progress.js";
export * from "./stat.js";
export * from "./table.js";
export { cssColor, currentTheme, onThemeChange } from "./theme.js";
