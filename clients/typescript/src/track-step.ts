/** `trackStep`: a step outside of `trackWorkflow`, recorded with each attempt. */

import type { FlowflareEnv } from "./connection.ts";
import { retryDelay, timestamp } from "./durations.ts";
import { ConfigurationError } from "./errors.ts";
import { describe, isEngineStop, isNonRetryable } from "./failures.ts";
import { snapshot } from "./json.ts";
import { Known } from "./plan.ts";
import { reporterOf } from "./reporter.ts";
import type { Backoff } from "./statuses.ts";
import { wait } from "./timers.ts";
import type { RetryPolicy, StepUpdate } from "./updates.ts";

/** How `trackStep` retries. */
export interface StepRetryConfig {
  /** Retries after the first attempt; 3 where absent. */
  maxRetries?: number;
  /** Milliseconds before the first retry; 1000 where absent. */
  baseDelay?: number;
  /** How the delay grows: not at all, by `baseDelay` each time, or twofold (the default). */
  backoffType?: "constant" | "linear" | "exponential";
  /**
   * How many retries there were before this attempt, from 0. With it `trackStep` makes this one
   * attempt and leaves the next to its caller: inside the engine's `step.do`, which retries by
   * itself, it is `context.attempt - 1`.
   */
  currentRetry?: number;
}

const MAX_INDEX = 1_000_000;

/**
 * Run `execute` as the step `name` of an instance that is tracked, and record every attempt: its
 * beginning, its error (name, message, stack) and when the next one is due, or its result.
 *
 * Without `currentRetry` it retries by itself, up to `maxRetries` times, and throws the error of
 * the last attempt. With `currentRetry` it makes one attempt and throws its error; that is
 * recorded as RETRYING while `currentRetry` is below `maxRetries`, else as FAILED. After a
 * `NonRetryableError` there is no next attempt in either case.
 *
 * `index` is the step's place among the others, from 1; where it is taken, the service chooses.
 * While the service is away the step goes on, and what could not be recorded is said in the log.
 */
export async function trackStep<T>(
  env: FlowflareEnv,
  instanceId: string,
  name: string,
  index: number | undefined,
  execute: () => Promise<T> | T,
  config: StepRetryConfig = {},
): Promise<T> {
  const { currentRetry } = config;
  const policy = policyOf(config);
  const reporter = reporterOf(env, `${instanceId}, step ${name}`, new Known("RUNNING"));
  const report = (changes: Omit<StepUpdate, "instanceId" | "name">) =>
    reporter.add({ step: { instanceId, name, ...changes } });
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
      throw new ConfigurationError(`${option} must be a number of 0 or more, not ${value}.`);
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
