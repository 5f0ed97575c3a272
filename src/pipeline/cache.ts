/** A map that forgets what was used longest ago once it holds more than `capacity`. */
export class LruCache<V> {
  readonly #map = new Map<string, V>();
  readonly #capacity: number;
  readonly #evicted: (value: V) => void;

  constructor(capacity: number, evicted: (value: V) => void = () => {}) {
    this.#capacity = capacity;
    this.#evicted = evicted;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: string): V | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  set(key: string, value: V): void {
    this.#map.set(key, value);
    if (this.#map.size > this.#capacity) {
      const [oldest, old] = this.#map.entries().next().value as [string, V];
      this.#map.delete(oldest);
      this.#evicted(old);
    }
  }

  clear(): void {
    for (const value of this.#map.values()) this.#evicted(value);
    this.#map.clear();
  }
}
