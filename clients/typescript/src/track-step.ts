/** `trackStep`: a step outside of `trackWorkflow`, recorded with each attempt. */

import { connectionOf } from "./connection.ts";
import type { FlowflareEnv } from "./connection.ts";
import { retryDelay, timestamp } from "./durations.ts";
import { ConfigurationError } from "./errors.ts";
import { describe, isEngineStop, isNonRetryable } from "./failures.ts";
import { snapshot } from "./json.ts";
import { Known } from "./plan.ts";
import { Sender } from "./sender.ts";
import type { Backoff } from "./statuses.ts";
import { wait } from "./timers.ts";
import type { RetryPolicy, StepUpdate } from "./updates.ts";
import { warn } from "./warnings.ts";

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

const TIME_LIMIT_MS = 5000;
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
  const report = reporterOf(env, instanceId, name);
  const retriesItself = currentRetry === undefined;
  const placed = index !== undefined && Number.isInteger(index) && index >= 1 && index <= MAX_INDEX;
  for (let attempt = (currentRetry ?? 0) + 1; ; attempt++) {
    report.add({
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
        report.add({ status: "FAILED", attempt, error: failure });
        await report.close();
        throw error;
      }
      const delayMs = retryDelay(attempt, policy.delay, policy.backoff);
      const retryAt = timestamp(Date.now() + delayMs);
      report.add({ status: "RETRYING", attempt, error: failure, ...(retryAt && { retryAt }) });
      if (!retriesItself) {
        await report.close();
        throw error;
      }
      await wait(delayMs);
      continue;
    }
    report.add({ status: "COMPLETED", attempt, output: snapshot(result) });
    await report.close();
    return result;
  }
}

interface Reporter {
  add(update: Omit<StepUpdate, "instanceId" | "name">): void;
  close(): Promise<void>;
}

function reporterOf(env: FlowflareEnv, instanceId: string, name: string): Reporter {
  let sender: Sender;
  try {
    const connection = connectionOf(env, TIME_LIMIT_MS);
    sender = new Sender(connection, async () => new Known("RUNNING"));
  } catch (error) {
    warn(`${instanceId}, step ${name} is not tracked: ${describe(error).message}`);
    return { add() {}, async close() {} };
  }
  return {
    add(update) {
      sender.add({ updates: [{ step: { instanceId, name, ...update } }] }, { soon: true });
    },
    async close() {
      await sender.flush(TIME_LIMIT_MS);
      const undelivered = sender.close();
      if (undelivered) warn(`${instanceId}, step ${name}: ${undelivered}`);
    },
  };
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
