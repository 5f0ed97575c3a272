import type { Engine } from "kfac-webgpu";
import { type Chapter, chapters } from "./chapters/index.js";
import { EngineHost, explain } from "./engine/index.js";
import type { DemoContext, MountedChapter } from "./ui/chapter.js";
import { element } from "./ui/dom.js";
import { errorPanel } from "./ui/panel.js";
import { currentTheme, onThemeChange, toggleTheme } from "./ui/theme.js";

/** One visit to a chapter, from navigation to leaving it. */
interface Visit {
  chapter: Chapter;
  leave: AbortController;
  mounted?: MountedChapter;
  /** Listeners for a new engine; without any, the chapter is mounted afresh. */
  replaced: ((engine: Engine) => void)[];
}

/** Opens the chapter that the address names, and keeps the engine and the failure panel for all of them. */
export class Shell {
  readonly #content: HTMLElement;
  readonly #failure: HTMLElement;
  readonly #main: HTMLElement;
  readonly #adapter: HTMLElement;
  readonly #links = new Map<string, HTMLAnchorElement>();
  readonly #theme: HTMLElement;
  readonly #skip: HTMLElement;
  readonly #host: EngineHost;
  #visit: Visit | undefined;
  /** Of the panel that is shown. */
  #urgency = 0;

  constructor(page: Document) {
    const find = (id: string) => page.getElementById(id)!;
    this.#content = find("content");
    this.#failure = find("failure");
    this.#main = find("chapter");
    this.#adapter = find("adapter");
    this.#theme = find("theme");
    this.#skip = find("skip");
    this.#host = new EngineHost({
      onOpen: ({ capabilities: { adapter, software } }) => {
        this.#adapter.textContent = `Computing on ${adapter}${software ? ", a software adapter: slow, but the same numbers" : ""}.`;
      },
      onLost: (error) => this.#fail(error),
      onError: (error) => this.#fail(error),
    });
    const items = chapters.map(({ id, label }, index) => {
      const number = element("span", { class: "chapter-number", "aria-hidden": "true" }, index + 1);
      const link = element("a", { href: `#${id}` }, number, ` ${label}`);
      this.#links.set(id, link);
      return element("li", {}, link);
    });
    find("chapters").append(element("ol", {}, ...items));
  }

  start(): void {
    this.#showTheme();
    onThemeChange(() => this.#showTheme());
    this.#theme.addEventListener("click", toggleTheme);
    this.#skip.addEventListener("click", (event) => {
      // The address names the chapter, so the link must not change it.
      event.preventDefault();
      this.#main.focus();
    });
    addEventListener("hashchange", () => void this.#open(this.#named(), true));
    void this.#open(this.#named(), false);
  }

  #named(): Chapter {
    return chapters.find(({ id }) => location.hash === `#${id}`) ?? chapters[0]!;
  }

  async #open(chapter: Chapter, focus: boolean): Promise<void> {
    this.#leave();
    const visit: Visit = { chapter, leave: new AbortController(), replaced: [] };
    this.#visit = visit;
    for (const [id, link] of this.#links) {
      if (id === chapter.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${chapter.label} · K-FAC on WebGPU`;
    this.#content.dataset.chapter = chapter.id;
    this.#content.setAttribute("aria-busy", "true");
    if (focus) {
      scrollTo(0, 0);
      this.#main.focus({ preventScroll: true });
    }
    const { signal } = visit.leave;
    try {
      const { mount } = await chapter.load();
      if (signal.aborted) return;
      const mounted = await mount(this.#content, this.#context(visit));
      if (signal.aborted) mounted.dispose();
      else visit.mounted = mounted;
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      if (!signal.aborted) this.#content.removeAttribute("aria-busy");
    }
  }

  #leave(): void {
    const visit = this.#visit;
    this.#visit = undefined;
    visit?.leave.abort(new DOMException("the chapter was left", "AbortError"));
    visit?.mounted?.dispose();
    this.#content.replaceChildren();
    this.#failure.replaceChildren();
  }

  #context(visit: Visit): DemoContext {
    const { signal } = visit.leave;
    return {
      engine: () => this.#host.engine(),
      onEngineReplaced: (listener) => visit.replaced.push(listener),
      signal,
      get reducedMotion() {
        return matchMedia("(prefers-reduced-motion: reduce)").matches;
      },
      fail: (error) => {
        if (!signal.aborted) this.#fail(error);
      },
    };
  }

  #fail(error: unknown): void {
    const explanation = explain(error);
    if (!explanation) return;
    const { title, what, todo, urgency, remedy, button, detail } = explanation;
    if (this.#failure.childElementCount > 0 && this.#urgency > urgency) return;
    this.#urgency = urgency;
    const onClick = () => {
      this.#failure.replaceChildren();
      if (remedy === "replace") void this.#replace();
      else if (this.#visit) void this.#open(this.#visit.chapter, true);
    };
    this.#failure.replaceChildren(
      errorPanel({ title, what, todo, detail, actions: [{ label: button, onClick }] }),
    );
  }

  async #replace(): Promise<void> {
    const visit = this.#visit;
    try {
      const engine = await this.#host.replace();
      if (visit === undefined || visit !== this.#visit) return;
      if (visit.replaced.length === 0) return void (await this.#open(visit.chapter, true));
      this.#main.focus({ preventScroll: true });
      for (const listener of visit.replaced) listener(engine);
    } catch (error) {
      this.#fail(error);
    }
  }

  #showTheme(): void {
    const other = currentTheme() === "dark" ? "Light" : "Dark";
    this.#theme.textContent = other;
    this.#theme.setAttribute("aria-label", `${other} colours`);
  }
}
