/** A grouped dispatch: the rows of its table with the first workgroup of each filled in, and the workgroups in all. */
export interface Grouped<T> {
  readonly rows: (T & { first: number })[];
  readonly groups: number;
}

/** Numbers the workgroups of several problems one after another, so that one dispatch serves them all. */
export function group<T extends object>(
  problems: readonly T[],
  groupsOf: (problem: T) => number,
): Grouped<T> {
  let first = 0;
  const rows = problems.map((problem) => {
    const row = { ...problem, first };
    first += groupsOf(problem);
    return row;
  });
  return { rows, groups: first };
}

/** Splits items by the objects that `keys` names (the buffers they use), keeping the order of first appearance. */
export function partition<T>(items: readonly T[], keys: (item: T) => readonly object[]): T[][] {
  const parts: { keys: readonly object[]; items: T[] }[] = [];
  for (const item of items) {
    const own = keys(item);
    const part = parts.find((candidate) => candidate.keys.every((key, index) => key === own[index]));
    if (part) part.items.push(item);
    else parts.push({ keys: own, items: [item] });
  }
  return parts.map((part) => part.items);
}
