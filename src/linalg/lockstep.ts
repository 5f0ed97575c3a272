import type { Recorder } from "../pipeline/index.js";

/** Room for numbers, from element `offset` of a buffer on, at a multiple of four. */
export interface Room {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** Records all problems of a list, in as few dispatches as their buffers allow. */
type Operation<T> = (recorder: Recorder, problems: readonly T[]) => void;

/** Problems for an operation that takes lists of them. */
interface Asked {
  readonly operation: Operation<unknown>;
  readonly problems: readonly unknown[];
}

/**
 * A piece of work that is recorded side by side with others of its kind. It yields what it may share with them: how many numbers of
 * scratch it needs, of which it is given the room, or problems for an operation (`asked`), which are recorded when it goes on. What it
 * records by itself in between is its own affair; of memory that others use too it may count on what it left until it yields.
 */
export type Steps = Generator<number | Asked, void, Room>;

/** What steps yield to have problems recorded. */
export function asked<T>(operation: Operation<T>, problems: readonly T[]): Asked {
  return { operation: operation as Operation<unknown>, problems };
}

/**
 * Records several pieces of work, a step of all of them after another: what they ask for in the same step is one list for each
 * operation, and scratch in as few buffers as may be bound. So each layer's part of a long recording costs no dispatches of its own.
 */
export function inLockstep(recorder: Recorder, pieces: readonly Steps[]): void {
  let running = pieces.map((steps) => ({ steps, asks: steps.next() }));
  for (;;) {
    running = running.filter(({ asks }) => !asks.done);
    if (running.length === 0) return;
    const lists = new Map<Operation<unknown>, unknown[]>();
    const lengths: number[] = [];
    for (const { asks } of running) {
      if (typeof asks.value === "number") lengths.push(asks.value);
      else if (asks.value) {
        const { operation, problems } = asks.value;
        const list = lists.get(operation) ?? [];
        for (const problem of problems) list.push(problem);
        lists.set(operation, list);
      }
    }
    for (const [operation, problems] of lists) operation(recorder, problems);
    const rooms = roomsOf(recorder, lengths);
    running = running.map(({ steps, asks }) => {
      const room = typeof asks.value === "number" ? rooms.shift()! : NOWHERE;
      return { steps, asks: steps.next(room) };
    });
  }
}

/** Given where no room was asked for. */
const NOWHERE = {} as Room;

/** So many numbers each, one behind the other in as few buffers as may be bound as a whole. */
function roomsOf(recorder: Recorder, lengths: readonly number[]): Room[] {
  const most = recorder.manager.device.limits.maxStorageBufferBindingSize / 4;
  const parts: number[][] = [];
  let total = Number.POSITIVE_INFINITY;
  for (const length of lengths) {
    const whole = Math.ceil(length / 4) * 4;
    if (total + whole > most) {
      parts.push([]);
      total = 0;
    }
    parts.at(-1)!.push(whole);
    total += whole;
  }
  return parts.flatMap((part) => {
    const buffer = recorder.scratch(part.reduce((sum, length) => sum + length, 0));
    let offset = 0;
    return part.map((length) => {
      const room = { buffer, offset };
      offset += length;
      return room;
    });
  });
}
