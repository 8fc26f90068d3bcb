/** `TrackedStep`: the methods of Cloudflare's `step`, with a report of each call. */

import { milliseconds, retryDelay } from "./durations.ts";
import { describe, isEngineStop, isNonRetryable } from "./failures.ts";
import type { Failure } from "./failures.ts";
import { REDACTED, snapshot } from "./json.ts";
import type { JsonText } from "./json.ts";
import type { Pause, Run, StepKey } from "./run.ts";
import type { Backoff } from "./statuses.ts";
import { after, cancel } from "./timers.ts";
import type { RetryPolicy } from "./updates.ts";

/** The methods of Cloudflare's `WorkflowStep`, for any version of its types. */
export interface StepLike {
  do(name: string, ...rest: any[]): Promise<any>;
  sleep(name: string, duration: any): Promise<void>;
  sleepUntil(name: string, timestamp: any): Promise<void>;
  waitForEvent(name: string, options: any): Promise<any>;
}

/** The members of a step's context that are read. */
interface StepContext {
  readonly attempt?: number;
  readonly config?: StepConfig;
}

interface StepConfig {
  readonly retries?: {
    readonly limit?: number;
    readonly delay?: unknown;
    readonly backoff?: string;
  };
  readonly timeout?: unknown;
  readonly sensitive?: unknown;
}

type Callback = (context: StepContext) => unknown;

/** An attempt at a task in this run. */
interface Attempt {
  readonly number: number;
  readonly policy: RetryPolicy | undefined;
  /** The error that the attempt failed with, and true once that is reported. */
  failure?: Failure;
  isReported?: boolean;
  /** The value that the attempt returned. */
  returned?: { value: unknown };
}

// The engine's defaults: https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/
const DEFAULT_LIMIT = 5;
const DEFAULT_DELAY_MS = 1000;
const DEFAULT_BACKOFF: Backoff = "EXPONENTIAL";
const DEFAULT_TIMEOUT_MS = 600_000;
/** Time that a failed attempt waits for the delivery of its report. */
const REPORT_LIMIT_MS = 2000;
const MAX_RETRIES = 1_000_000;

export class TrackedStep implements StepLike {
  readonly #step: StepLike;
  readonly #run: Run;
  readonly #failures: WeakMap<object, Failure>;

  /** `failures` gets the failures of the errors that leave a step, as they were thrown. */
  constructor(step: StepLike, run: Run, failures: WeakMap<object, Failure>) {
    this.#step = step;
    this.#run = run;
    this.#failures = failures;
  }

  async do(name: string, ...rest: any[]): Promise<any> {
    const at = typeof rest[0] === "function" ? 0 : 1;
    const callback: unknown = rest[at];
    // The engine reports the mistake itself.
    if (typeof callback !== "function") return this.#step.do(name, ...rest);
    const config: StepConfig = at === 1 ? (rest[0] ?? {}) : {};
    const task = new Task(this.#run, this.#run.step(name), config, callback as Callback);
    const attempt = (context: StepContext) => task.attempt(context);
    const handed = at === 1 ? [task.engineConfig(rest[0]), attempt] : [attempt];
    let result: unknown;
    try {
      result = await this.#step.do(name, ...handed, ...rest.slice(at + 1));
    } catch (error) {
      task.fails(error, this.#failures);
      throw error;
    }
    task.completes(result);
    return result;
  }

  async sleep(name: string, duration: any): Promise<void> {
    const length = milliseconds(duration);
    const until = length === undefined ? undefined : Date.now() + length;
    await this.#pause("SLEEP", name, until, () => this.#step.sleep(name, duration));
  }

  async sleepUntil(name: string, timestamp: any): Promise<void> {
    const until = timestamp instanceof Date ? timestamp.valueOf() : milliseconds(timestamp);
    await this.#pause("SLEEP", name, until, () => this.#step.sleepUntil(name, timestamp));
  }

  async waitForEvent(name: string, options: any): Promise<any> {
    return this.#pause("WAIT_FOR_EVENT", name, undefined, () =>
      this.#step.waitForEvent(name, options),
    );
  }

  async #pause<T>(
    kind: Pause["kind"],
    name: string,
    untilMs: number | undefined,
    wait: () => Promise<T>,
  ): Promise<T> {
    const pause: Pause = { ...this.#run.step(name), kind };
    this.#run.pauseBegins(pause, untilMs);
    let result: T;
    try {
      result = await wait();
    } catch (error) {
      if (!isEngineStop(error)) this.#run.pauseFails(pause, describe(error));
      throw error;
    }
    const event = result as { payload?: unknown; sensitive?: unknown } | undefined;
    const output = event?.sensitive ? REDACTED : snapshot(event?.payload);
    this.#run.pauseEnds(pause, kind === "SLEEP" ? undefined : output);
    return result;
  }
}

/** A call of `step.do`, with its attempts until it has a result or has failed for good. */
class Task {
  readonly #run: Run;
  readonly #key: StepKey;
  readonly #config: StepConfig;
  readonly #callback: Callback;
  #last: Attempt | undefined;

  constructor(run: Run, key: StepKey, config: StepConfig, callback: Callback) {
    this.#run = run;
    this.#key = key;
    this.#config = config;
    this.#callback = callback;
  }

  /** The engine's configuration, with a delay function wrapped to learn the time of the retry. */
  engineConfig(config: any): any {
    const delay: unknown = config?.retries?.delay;
    if (typeof delay !== "function") return config;
    const observed = async (input: unknown) => {
      const chosen: unknown = await delay(input);
      const last = this.#last;
      if (last?.failure) this.#report(last, last.failure, milliseconds(chosen));
      return chosen;
    };
    return { ...config, retries: { ...config.retries, delay: observed } };
  }

  get #hasDelayFunction(): boolean {
    return typeof this.#config.retries?.delay === "function";
  }

  /** Run one attempt, as the engine's callback. */
  async attempt(context: StepContext | undefined): Promise<unknown> {
    const before = this.#last;
    if (before?.failure) this.#report(before, before.failure);
    const number = context?.attempt ?? (before?.number ?? 0) + 1;
    const config = context?.config ?? this.#config;
    const policy = this.#hasDelayFunction ? undefined : policyOf(config);
    const attempt: Attempt = { number, policy };
    this.#last = attempt;
    this.#run.attemptBegins(this.#key, number, attempt.policy);
    // The engine's own timer began earlier, so it has given the attempt up when this one ends.
    const timeoutMs = milliseconds(config.timeout) ?? DEFAULT_TIMEOUT_MS;
    const timer = after(timeoutMs, () => this.#timesOut(attempt, config, timeoutMs));
    try {
      const value = await this.#callback(context as StepContext);
      attempt.returned = { value };
      return value;
    } catch (error) {
      if (!isEngineStop(error)) await this.#attemptFails(attempt, config, error);
      throw error;
    } finally {
      cancel(timer);
    }
  }

  completes(result: unknown): void {
    this.#run.taskCompletes(this.#key, () => this.#output(result), this.#last?.number);
  }

  fails(error: unknown, failures: WeakMap<object, Failure>): void {
    const last = this.#last;
    if (isEngineStop(error)) {
      // A pause takes effect after the running step, which has its result by then.
      if (last?.returned && !last.failure) this.completes(last.returned.value);
      return;
    }
    const failure = last?.failure ?? describe(error);
    if (typeof error === "object" && error !== null) failures.set(error, failure);
    this.#run.taskFails(this.#key, failure, last?.number);
  }

  async #attemptFails(attempt: Attempt, config: StepConfig, error: unknown): Promise<void> {
    attempt.failure ??= describe(error);
    // The last failure is the step's, and reported when the engine has given up. The engine calls a
    // delay function before the failure can be reported.
    if (isNonRetryable(error) || isLast(attempt, config)) return;
    if (this.#hasDelayFunction) return;
    this.#report(attempt, attempt.failure);
    await this.#run.delivered(REPORT_LIMIT_MS);
  }

  #timesOut(attempt: Attempt, config: StepConfig, timeoutMs: number): void {
    attempt.failure ??= {
      name: "WorkflowTimeoutError",
      message: `Execution timed out after ${timeoutMs}ms`,
    };
    if (!isLast(attempt, config)) this.#report(attempt, attempt.failure);
  }

  #report(attempt: Attempt, failure: Failure, baseMs?: number): void {
    if (attempt.isReported) return;
    attempt.isReported = true;
    const { number, policy } = attempt;
    const base = baseMs ?? policy?.delay;
    const backoff = backoffOf(this.#config.retries?.backoff);
    const delay =
      base === undefined ? undefined : retryDelay(number, base, policy?.backoff ?? backoff);
    const retryAt = delay === undefined ? undefined : Date.now() + delay;
    this.#run.attemptFails(this.#key, number, failure, retryAt);
  }

  #output(result: unknown): JsonText {
    // The engine knows only "output" so far.
    return this.#config.sensitive ? REDACTED : snapshot(result);
  }
}

function isLast(attempt: Attempt, { retries }: StepConfig): boolean {
  return attempt.number > (retries?.limit ?? DEFAULT_LIMIT);
}

// With the engine's defaults.
function policyOf({ retries }: StepConfig): RetryPolicy | undefined {
  const delay = milliseconds(retries?.delay ?? DEFAULT_DELAY_MS);
  if (delay === undefined) return undefined;
  return {
    limit: Math.min(retries?.limit ?? DEFAULT_LIMIT, MAX_RETRIES),
    delay: Math.round(Math.max(delay, 0)),
    backoff: backoffOf(retries?.backoff),
  };
}

function backoffOf(backoff: string | undefined): Backoff {
  if (backoff === "constant") return "CONSTANT";
  return backoff === "linear" ? "LINEAR" : DEFAULT_BACKOFF;
}
