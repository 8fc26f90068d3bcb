/** A run of an instance: turns its events into reports, in order. */

import type { Failure } from "./failures.ts";
import type { JsonText } from "./json.ts";
import { snapshot } from "./json.ts";
import type { Sender } from "./sender.ts";
import { storedName, textOf } from "./step-names.ts";
import { timestamp } from "./durations.ts";
import type { InstanceStatus, StepKind } from "./statuses.ts";
import type { InstanceUpdate, RetryPolicy, StepUpdate, Update } from "./updates.ts";
import { cancel } from "./timers.ts";
import type { Timer } from "./timers.ts";

const PAUSE_SHOWS_MS = 100;

/** The workflow and the id that identify an instance. */
export interface InstanceKey {
  readonly workflow: string;
  readonly instanceId: string;
}

/** A step of the run, as it is recorded. */
export interface StepKey {
  readonly name: string;
  /** Number of the step among those of the run with its name, from 1. */
  readonly occurrence: number;
  /** From 1, in the order in which the workflow begins its steps. */
  readonly index: number;
}

/** A step that is a pause: a sleep, or a wait for an event. */
export interface Pause extends StepKey {
  readonly kind: Exclude<StepKind, "TASK">;
}

export class Run {
  readonly #sender: Sender;
  readonly #key: InstanceKey;
  readonly #occurrences = new Map<string, number>();
  #count = 0;
  readonly #tasks = new Set<StepKey>();
  readonly #pauses = new Set<Pause>();
  // The status reported last, delivered or not.
  #status: InstanceStatus = "RUNNING";
  #timer: Timer | undefined;

  constructor(sender: Sender, key: InstanceKey) {
    this.#sender = sender;
    this.#key = key;
  }

  /** Begin the next step; a replay gives the same key. The engine also takes names that are not texts. */
  step(given: unknown): StepKey {
    const name = textOf(given);
    const stored = storedName(name);
    const occurrence = (this.#occurrences.get(stored) ?? 0) + 1;
    this.#occurrences.set(stored, occurrence);
    return { name, occurrence, index: ++this.#count };
  }

  /** The run begins, or begins again; `created` are the fields of an instance that is new. */
  begins(created: Omit<InstanceUpdate, keyof InstanceKey>): void {
    const begins: InstanceUpdate = { ...created, ...this.#instance("RUNNING").instance };
    this.#sender.add({ updates: [], begins });
  }

  /** An attempt at a task begins. */
  attemptBegins(task: StepKey, attempt: number, retryPolicy: RetryPolicy | undefined): void {
    this.#tasks.add(task);
    const changes = { kind: "TASK", status: "RUNNING", attempt } as const;
    const step = this.#moves(task, { ...changes, ...(retryPolicy && { retryPolicy }) });
    this.#sender.add({ updates: [...this.#becomes("RUNNING"), step] }, { soon: true });
  }

  /** An attempt has failed and will be retried, at `retryAtMs` if that is known. */
  attemptFails(
    task: StepKey,
    attempt: number,
    error: Failure,
    retryAtMs: number | undefined,
  ): void {
    const retryAt = retryAtMs === undefined ? undefined : timestamp(retryAtMs);
    const changes = { status: "RETRYING", attempt, error } as const;
    const step = this.#moves(task, { ...changes, ...(retryAt && { retryAt }) });
    this.#sender.add({ updates: [step] }, { soon: true });
  }

  /** A task has a result; `attempt` is absent if the engine has replayed the result. */
  taskCompletes(task: StepKey, output: () => JsonText, attempt?: number): void {
    this.#tasks.delete(task);
    this.#afterTask();
    // In the replay of a long run this avoids writing every result as text.
    if (this.#sender.knowsEndOf(task)) return;
    const changes = { status: "COMPLETED", output: output() } as const;
    const step = this.#moves(task, { ...changes, ...(attempt && { attempt }) });
    this.#sender.add({ updates: [step] });
  }

  /** A task has failed for good. */
  taskFails(task: StepKey, error: Failure, attempt?: number): void {
    this.#tasks.delete(task);
    const step = this.#moves(task, { status: "FAILED", error, ...(attempt && { attempt }) });
    this.#sender.add({ updates: [step] }, { soon: true });
    this.#afterTask();
  }

  /** A sleep or a wait begins. */
  pauseBegins(pause: Pause, untilMs?: number): void {
    this.#pauses.add(pause);
    const until = untilMs === undefined ? undefined : timestamp(untilMs);
    const step = this.#moves(pause, { kind: pause.kind, status: "RUNNING" });
    this.#sender.add({ updates: [step, ...this.#becomes(this.#derived, until)] }, { soon: true });
  }

  /** A sleep or a wait has ended. */
  pauseEnds(pause: Pause, output?: JsonText): void {
    this.#pauses.delete(pause);
    const changes = { kind: pause.kind, status: "COMPLETED" } as const;
    const step = this.#moves(pause, { ...changes, ...(output && { output }) });
    this.#sender.add({ updates: [step, ...this.#becomes(this.#derived)] });
  }

  /** A wait has failed, because no event came in time. */
  pauseFails(pause: Pause, error: Failure): void {
    this.#pauses.delete(pause);
    const step = this.#moves(pause, { kind: pause.kind, status: "FAILED", error });
    this.#sender.add({ updates: [step, ...this.#becomes(this.#derived)] }, { soon: true });
  }

  /** The workflow has returned. */
  completes(output: unknown): void {
    cancel(this.#timer);
    const { instance } = this.#instance("COMPLETED");
    this.#sender.add({ updates: [{ instance: { ...instance, output: snapshot(output) } }] });
  }

  /** The workflow has failed. */
  fails(error: Failure): void {
    cancel(this.#timer);
    const { instance } = this.#instance("ERRORED");
    this.#sender.add({ updates: [{ instance: { ...instance, error } }] });
  }

  /** The engine has paused the run; it will be replayed. */
  isPaused(): void {
    cancel(this.#timer);
    this.#sender.add({ updates: [this.#instance("PAUSED")] });
  }

  /** Wait for the delivery of the reports so far, at most `limitMs`; true if they are delivered. */
  delivered(limitMs: number): Promise<boolean> {
    return this.#sender.flush(limitMs);
  }

  // The status for the steps that are running; there may be several.
  get #derived(): InstanceStatus {
    if (this.#tasks.size > 0 || this.#pauses.size === 0) return "RUNNING";
    const isWaiting = [...this.#pauses].some(({ kind }) => kind === "WAIT_FOR_EVENT");
    return isWaiting ? "WAITING" : "SLEEPING";
  }

  // Once a task has ended beside a pause, the status is the pause's, unless another task follows.
  #afterTask(): void {
    cancel(this.#timer);
    if (this.#pauses.size === 0 || this.#tasks.size > 0) return;
    this.#timer = setTimeout(() => {
      const updates = this.#becomes(this.#derived);
      if (updates.length > 0) this.#sender.add({ updates }, { soon: true });
    }, PAUSE_SHOWS_MS);
  }

  #becomes(status: InstanceStatus, sleepUntil?: string): Update[] {
    if (status === this.#status) return [];
    this.#status = status;
    const { instance } = this.#instance(status);
    return [
      { instance: { ...instance, ...(status === "SLEEPING" && sleepUntil && { sleepUntil }) } },
    ];
  }

  #instance(status: InstanceStatus): { instance: InstanceUpdate & { status: InstanceStatus } } {
    return { instance: { ...this.#key, status } };
  }

  #moves(step: StepKey, changes: Omit<StepUpdate, keyof InstanceKey | keyof StepKey>): Update {
    const { name, occurrence, index } = step;
    return { step: { ...this.#key, name, occurrence, index, ...changes } };
  }
}
