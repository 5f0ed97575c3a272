// Light or dark: the system's choice until the visitor makes one, which is remembered.

export type Theme = "light" | "dark";

const KEY = "kfac-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<(theme: Theme) => void>();
let chosen = read();

/** What the page shows now. */
export function currentTheme(): Theme {
  return chosen ?? (system.matches ? "dark" : "light");
}

/** Calls `listener` at every change until `signal` is aborted: canvases must be drawn again. */
export function onThemeChange(listener: (theme: Theme) => void, signal?: AbortSignal): void {
  if (signal?.aborted) return;
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener), { once: true });
}

export function toggleTheme(): void {
  chosen = currentTheme() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  apply();
}

let probe: HTMLElement | undefined;

/** A colour of the style sheet as the page shows it now, for canvases: `cssColor("--ink")`. */
export function cssColor(name: string): string {
  if (!probe?.isConnected) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  // As a colour and not as the property's text, which may still hold both themes.
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function read(): Theme | undefined {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : undefined;
  } catch {
    return undefined;
  }
}

function apply(): void {
  document.documentElement.dataset.theme = currentTheme();
  for (const listener of listeners) listener(currentTheme());
}

system.addEventListener("change", apply);
apply();
