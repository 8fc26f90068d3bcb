/**
 * What still has to be told, given what the service knows: a pure function. The engine replays a
 * run from its beginning after a crash, a pause or a long sleep, so the same things happen again;
 * what is recorded already is left out, and what a crash lost is not.
 */

import { TERMINAL } from "./statuses.ts";
import type { InstanceStatus, StepStatus } from "./statuses.ts";
import type { InstanceUpdate, StepUpdate, Update } from "./updates.ts";

/** Updates that belong together, in order. At most one of them is about a step. */
export interface Entry {
  readonly updates: readonly Update[];
  /** The run begins: what to create the instance with where it is not tracked yet. */
  readonly begins?: InstanceUpdate;
}

/** A step as the service has it. */
export interface KnownStep {
  readonly status: StepStatus;
  readonly attempt: number;
}

const RANK: Readonly<Record<StepStatus, number>> = {
  PENDING: 0,
  RUNNING: 1,
  RETRYING: 2,
  COMPLETED: 3,
  FAILED: 3,
};

// What an instance no longer is once a run of it begins, whoever has started or resumed it.
const BEFORE_RUNNING: ReadonlySet<InstanceStatus> = new Set(["QUEUED", "UNKNOWN", "PAUSED"]);

const INTERRUPTED = {
  name: "AttemptInterrupted",
  message: "The engine began the next attempt before this one had ended.",
};

/** What the service knows of an instance: as it said, and what it was told since. */
export class Known {
  #status: InstanceStatus | undefined;
  readonly #steps: Map<string, KnownStep>;

  /** `status` is undefined for an instance that is not tracked. */
  constructor(status?: InstanceStatus, steps: Iterable<[string, KnownStep]> = []) {
    this.#status = status;
    this.#steps = new Map(steps);
  }

  get status(): InstanceStatus | undefined {
    return this.#status;
  }

  step(name: string): KnownStep | undefined {
    return this.#steps.get(name);
  }

  hasEnded(step: string): boolean {
    const known = this.step(step);
    return known !== undefined && RANK[known.status] === RANK.COMPLETED;
  }

  copy(): Known {
    return new Known(this.#status, this.#steps);
  }

  /** Take note of an update that the service has. */
  note(update: Update): void {
    if ("instance" in update) {
      this.#status = update.instance.status ?? this.#status;
      return;
    }
    const { name, status, attempt = this.step(name)?.attempt ?? 1 } = update.step;
    this.#steps.set(name, { status, attempt });
  }

  /** The updates of an entry that tell something new. */
  news({ updates, begins }: Entry): readonly Update[] {
    if (begins) return this.#beginning(begins);
    const step = updates.flatMap((update) => ("step" in update ? [update.step] : []))[0];
    const relation = step ? this.#relation(step) : "new";
    if (relation === "past") return [];
    const told = updates.flatMap((update): readonly Update[] => {
      if ("step" in update)
        return relation === "new" ? [...this.#interrupted(update.step), update] : [];
      if (update.instance.status === this.#status && this.#status !== undefined) return [];
      if (relation === "new") return [update];
      // The engine goes on with a sleep it had begun before: its end is not that of a new one.
      return [{ instance: { ...update.instance, sleepUntil: null } }];
    });
    return this.#isFinished ? told.filter(isEndOfStep) : told;
  }

  // The attempt before never ended: the run was cut off in the middle of it.
  #interrupted({ instanceId, name, status, attempt = 1 }: StepUpdate): readonly Update[] {
    const before = this.step(name);
    const isNext = before?.status === "RUNNING" && status === "RUNNING" && attempt > before.attempt;
    if (!isNext) return [];
    return [
      {
        step: { instanceId, name, status: "RETRYING", attempt: before.attempt, error: INTERRUPTED },
      },
    ];
  }

  get #isFinished(): boolean {
    return this.#status !== undefined && TERMINAL.has(this.#status);
  }

  // A run that goes on is RUNNING, SLEEPING or WAITING: that stays until something new happens.
  #beginning(instance: InstanceUpdate): readonly Update[] {
    if (this.#status === undefined) return [{ instance }];
    if (!BEFORE_RUNNING.has(this.#status)) return [];
    return [{ instance: { instanceId: instance.instanceId, status: "RUNNING" } }];
  }

  #relation({ name, status, attempt }: StepUpdate): "new" | "same" | "past" {
    const known = this.step(name);
    if (!known) return "new";
    if (this.hasEnded(name)) return "past";
    const difference =
      (attempt ?? known.attempt) - known.attempt || RANK[status] - RANK[known.status];
    if (difference > 0) return "new";
    return difference === 0 ? "same" : "past";
  }
}

// What a finished instance still takes.
function isEndOfStep(update: Update): boolean {
  return "step" in update && RANK[update.step.status] === RANK.COMPLETED;
}
