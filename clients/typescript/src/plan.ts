/**
 * The updates that the service still lacks, as a pure function of its record. The engine replays a
 * run from its beginning after a crash, a pause or a long sleep, so the same events happen again:
 * those that are recorded are left out, those that a crash has lost are reported.
 */

import { TERMINAL } from "./statuses.ts";
import { stepKey } from "./step-names.ts";
import type { StepName } from "./step-names.ts";
import type { InstanceStatus, StepStatus } from "./statuses.ts";
import type { InstanceUpdate, StepUpdate, Update } from "./updates.ts";

/** Updates that belong together, in order. At most one of them is about a step. */
export interface Entry {
  readonly updates: readonly Update[];
  /** The beginning of a run: creates the instance if it is not tracked yet. */
  readonly begins?: InstanceUpdate;
}

/**
 * State of the service's record of the engine's history of an instance. With a history it needs no
 * reports. One that is `awaited` will be recorded, unless its first part cannot be read.
 */
export type History = "none" | "awaited" | "recorded";

/** A step in the service's record. */
export interface KnownStep {
  readonly status: StepStatus;
  readonly attempt: number;
}

const RANK: Readonly<Record<StepStatus, number>> = {
  PENDING: 0,
  RUNNING: 1,
  RETRYING: 2,
  // The end of such a step may still be reported.
  CANCELLED: 3,
  COMPLETED: 4,
  FAILED: 4,
};

// The statuses that end when a run begins, whoever has started or resumed the instance.
const BEFORE_RUNNING: ReadonlySet<InstanceStatus> = new Set(["QUEUED", "UNKNOWN", "PAUSED"]);

const INTERRUPTED = {
  name: "AttemptInterrupted",
  message: "The engine began the next attempt before this one had ended.",
};

/** The service's record of an instance, with the updates that were sent since it was read. */
export class Known {
  #status: InstanceStatus | undefined;
  readonly #steps: Map<string, KnownStep>;
  readonly #run: number | undefined;
  /** State of the service's record of the engine's history. */
  history: History;

  /**
   * `status` is undefined for an instance that is not tracked. `steps` are those of the run, by
   * their `stepKey`. Updates get the number `run`, unless it is undefined.
   */
  constructor(
    status?: InstanceStatus,
    steps: Iterable<[string, KnownStep]> = [],
    run?: number,
    history: History = "none",
  ) {
    this.#status = status;
    this.#steps = new Map(steps);
    this.#run = run;
    this.history = history;
  }

  get status(): InstanceStatus | undefined {
    return this.#status;
  }

  step(step: StepName): KnownStep | undefined {
    return this.#steps.get(stepKey(step));
  }

  hasEnded(step: StepName): boolean {
    const known = this.step(step);
    return known !== undefined && RANK[known.status] === RANK.COMPLETED;
  }

  copy(): Known {
    return new Known(this.#status, this.#steps, this.#run, this.history);
  }

  /** Add an update that the service has accepted. */
  note(update: Update): void {
    if ("instance" in update) {
      this.#status = update.instance.status ?? this.#status;
      return;
    }
    const { step } = update;
    const { status, attempt = this.step(step)?.attempt ?? 1 } = step;
    this.#steps.set(stepKey(step), { status, attempt });
  }

  /** The updates of an entry that the service does not have yet. */
  news(entry: Entry): readonly Update[] {
    return this.#missing(entry).map((update) => this.#inRun(update));
  }

  #missing({ updates, begins }: Entry): readonly Update[] {
    if (begins) return this.#beginning(begins);
    const step = updates.flatMap((update) => ("step" in update ? [update.step] : []))[0];
    const relation = step ? this.#relation(step) : "new";
    if (relation === "past") return [];
    const missing = updates.flatMap((update): readonly Update[] => {
      if ("step" in update)
        return relation === "new" ? [...this.#interrupted(update.step), update] : [];
      if (update.instance.status === this.#status && this.#status !== undefined) return [];
      if (relation === "new") return [update];
      // The engine continues a sleep that it began before, so the end of a new sleep is wrong.
      return [{ instance: { ...update.instance, sleepUntil: null } }];
    });
    return this.#isFinished ? missing.filter(isEndOfStep) : missing;
  }

  // The previous attempt never ended, because the run was interrupted in the middle of it.
  #interrupted(step: StepUpdate): readonly Update[] {
    const { status, attempt = 1 } = step;
    const before = this.step(step);
    const isNext = before?.status === "RUNNING" && status === "RUNNING" && attempt > before.attempt;
    if (!isNext) return [];
    const failed = { status: "RETRYING", attempt: before.attempt, error: INTERRUPTED } as const;
    return [{ step: { ...identity(step), ...failed } }];
  }

  #inRun(update: Update): Update {
    const run = this.#run;
    if (run === undefined) return update;
    return "step" in update
      ? { step: { ...update.step, run } }
      : { instance: { ...update.instance, run } };
  }

  get #isFinished(): boolean {
    return this.#status !== undefined && TERMINAL.has(this.#status);
  }

  // A run that continues is RUNNING, SLEEPING or WAITING until something new happens.
  #beginning(instance: InstanceUpdate): readonly Update[] {
    if (this.#status === undefined) return [{ instance }];
    if (!BEFORE_RUNNING.has(this.#status)) return [];
    const { instanceId, workflow } = instance;
    return [
      { instance: { instanceId, ...(workflow !== undefined && { workflow }), status: "RUNNING" } },
    ];
  }

  #relation(step: StepUpdate): "new" | "same" | "past" {
    const { status, attempt } = step;
    const known = this.step(step);
    if (!known) return "new";
    if (this.hasEnded(step)) return "past";
    const difference =
      (attempt ?? known.attempt) - known.attempt || RANK[status] - RANK[known.status];
    if (difference > 0) return "new";
    return difference === 0 ? "same" : "past";
  }
}

/** The members that say which step of which instance an update is about. */
function identity({ instanceId, workflow, name, occurrence }: StepUpdate) {
  return {
    instanceId,
    ...(workflow !== undefined && { workflow }),
    name,
    ...(occurrence !== undefined && { occurrence }),
  };
}

// A finished instance accepts nothing else.
function isEndOfStep(update: Update): boolean {
  return "step" in update && RANK[update.step.status] === RANK.COMPLETED;
}
