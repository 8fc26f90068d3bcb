/** `trackStep`: records a step outside of `trackWorkflow`, with each attempt. */

import type { FlowflareEnv } from "./connection.ts";
import { retryDelay, timestamp } from "./durations.ts";
import { ConfigurationError } from "./errors.ts";
import { describe, isEngineStop, isNonRetryable } from "./failures.ts";
import { snapshot } from "./json.ts";
import { Known } from "./plan.ts";
import { reporterOf } from "./reporter.ts";
import { textOf } from "./step-names.ts";
import type { Backoff } from "./statuses.ts";
import { wait } from "./timers.ts";
import type { RetryPolicy, StepUpdate } from "./updates.ts";

/** Options of `trackStep`: its retries, and the workflow, run and occurrence of the step. */
export interface StepRetryConfig {
  /** Retries after the first attempt; 3 by default. */
  maxRetries?: number;
  /** Milliseconds before the first retry; 1000 by default. */
  baseDelay?: number;
  /** Growth of the delay: none, by `baseDelay` each time, or doubled each time (the default). */
  backoffType?: "constant" | "linear" | "exponential";
  /**
   * The number of retries before this attempt, from 0. With it `trackStep` makes one attempt and
   * leaves the next to its caller. Inside the engine's `step.do`, which retries by itself, it is
   * `context.attempt - 1`.
   */
  currentRetry?: number;
  /** Name of the instance's workflow; needed if instances of several workflows have the id. */
  workflow?: string;
  /** Number of the step among those of the run with its name, from 1; 1 by default. */
  occurrence?: number;
  /** Number of the run; if it is given, nothing is recorded after a restart of the instance. */
  run?: number;
}

const MAX_INDEX = 1_000_000;

/**
 * Run `execute` as the step `name` of a tracked instance, and record every attempt: its beginning,
 * and its result, or its error (name, message, stack) with the time of the next attempt.
 *
 * Without `currentRetry` it retries by itself, up to `maxRetries` times, and throws the error of
 * the last attempt. With `currentRetry` it makes one attempt and throws its error; that is
 * recorded as RETRYING while `currentRetry` is below `maxRetries`, else as FAILED. After a
 * `NonRetryableError` there is no next attempt in either case.
 *
 * `index` is the step's position, from 1; if another step has it, the service chooses one. The step
 * also runs while the service is away; the log then names the reports that were lost.
 */
export async function trackStep<T>(
  env: FlowflareEnv,
  instanceId: string,
  name: string,
  index: number | undefined,
  execute: () => Promise<T> | T,
  config: StepRetryConfig = {},
): Promise<T> {
  const { currentRetry, workflow, occurrence, run } = config;
  const policy = policyOf(config);
  const step = {
    instanceId,
    name: textOf(name),
    ...(workflow !== undefined && { workflow }),
    ...(occurrence !== undefined && { occurrence }),
    ...(run !== undefined && { run }),
  };
  const reporter = reporterOf(env, `${instanceId}, step ${step.name}`, new Known("RUNNING"));
  const report = (changes: Omit<StepUpdate, keyof typeof step>) =>
    reporter.add({ step: { ...step, ...changes } });
  const retriesItself = currentRetry === undefined;
  const placed = index !== undefined && Number.isInteger(index) && index >= 1 && index <= MAX_INDEX;
  for (let attempt = (currentRetry ?? 0) + 1; ; attempt++) {
    report({
      status: "RUNNING",
      kind: "TASK",
      attempt,
      retryPolicy: policy,
      ...(placed && { index }),
    });
    let result: T;
    try {
      result = await execute();
    } catch (error) {
      if (isEngineStop(error)) throw error;
      const failure = describe(error);
      const isLast = attempt > policy.limit || isNonRetryable(error);
      if (isLast) {
        report({ status: "FAILED", attempt, error: failure });
        await reporter.close();
        throw error;
      }
      const delayMs = retryDelay(attempt, policy.delay, policy.backoff);
      const retryAt = timestamp(Date.now() + delayMs);
      report({ status: "RETRYING", attempt, error: failure, ...(retryAt && { retryAt }) });
      if (!retriesItself) {
        await reporter.close();
        throw error;
      }
      await wait(delayMs);
      continue;
    }
    report({ status: "COMPLETED", attempt, output: snapshot(result) });
    await reporter.close();
    return result;
  }
}

function policyOf(config: StepRetryConfig): RetryPolicy {
  const {
    maxRetries = 3,
    baseDelay = 1000,
    backoffType = "exponential",
    currentRetry = 0,
  } = config;
  for (const [option, value] of Object.entries({ maxRetries, baseDelay, currentRetry })) {
    if (!(value >= 0) || !Number.isFinite(value)) {
      throw new ConfigurationError(
        `${option} must be a finite number of at least 0, not ${value}.`,
      );
    }
  }
  const backoff = backoffType.toUpperCase() as Backoff;
  if (!["CONSTANT", "LINEAR", "EXPONENTIAL"].includes(backoff)) {
    throw new ConfigurationError(
      `backoffType must be constant, linear or exponential, not ${JSON.stringify(backoffType)}.`,
    );
  }
  return { limit: Math.floor(maxRetries), delay: Math.round(baseDelay), backoff };
}
