/** `trackWorkflow`: records a run of a workflow from its start to its end. */

import { connectionOf } from "./connection.ts";
import type { Connection, FlowflareEnv } from "./connection.ts";
import { RequestError } from "./errors.ts";
import { describe, isEngineStop, isPause, isRestart } from "./failures.ts";
import type { Failure } from "./failures.ts";
import { objectText, snapshot } from "./json.ts";
import { Known } from "./plan.ts";
import type { History, KnownStep } from "./plan.ts";
import { Run } from "./run.ts";
import type { InstanceKey } from "./run.ts";
import { Sender } from "./sender.ts";
import type { InstanceStatus, StepStatus } from "./statuses.ts";
import { stepKey } from "./step-names.ts";
import { TrackedStep } from "./tracked-step.ts";
import type { StepLike } from "./tracked-step.ts";
import type { Reference } from "./updates.ts";
import { warn } from "./warnings.ts";

/** The members of `run`'s event that are used. */
export interface WorkflowEventLike {
  readonly payload: unknown;
  readonly instanceId: string;
  readonly workflowName?: string;
}

/** Options of `trackWorkflow`, mostly for instances that were not started through Flowflare. */
export interface TrackingOptions {
  /**
   * Name of the workflow; the engine's by default. It must be the name that the service has the
   * Workflow bound for, because an instance is identified by its workflow and its id.
   */
  workflow?: string;
  reference?: Reference;
  metadata?: unknown;
  /** Milliseconds after which a call is given up and made again; 5,000 by default. */
  timeLimitMs?: number;
}

const DEFAULT_TIME_LIMIT_MS = 5000;
/** The run of an instance that is not tracked yet. */
const FIRST_RUN = 1;
/** Time that a run stopped by the engine waits for the delivery of its reports. */
const STOP_LIMIT_MS = 2000;
/** Name of the step that delivers the remaining reports at the end of a run. */
const LAST_STEP = "flowflare: deliver";
// About a minute, long enough for a deployment or a restart of the service.
const LAST_ATTEMPTS = { limit: 6, delay: 1000, backoff: "exponential" } as const;

const STATE = `query State($instanceId: String!, $workflow: String!) {
  instance(instanceId: $instanceId, workflow: $workflow) {
    run status following steps { name occurrence status attemptCount }
  }
}`;
const STATUS = `query Status($instanceId: String!, $workflow: String!) {
  instance(instanceId: $instanceId, workflow: $workflow) { run status following }
}`;
const FOLLOWING = `query Following($instanceId: String!, $workflow: String!) {
  instance(instanceId: $instanceId, workflow: $workflow) { status following }
}`;

interface Followed {
  status: InstanceStatus;
  following: "FOLLOWED" | "BEHIND" | "NOT_FOLLOWED";
}

interface State {
  instance:
    | (Followed & {
        run: number;
        steps?: { name: string; occurrence: number; status: StepStatus; attemptCount: number }[];
      })
    | null;
}

/**
 * Run a workflow's body with a `step` that has Cloudflare's own methods and reports everything:
 * the instance from RUNNING to COMPLETED or ERRORED, and each step, attempt, retry, sleep and wait.
 *
 *     async run(event, step) {
 *       return trackWorkflow(this.env, event, step, async (step) => { … });
 *     }
 *
 * Returns what the body returns and throws what it throws. Tracking never throws: while the service
 * is away the reports are queued and sent again, and one line of the log counts the reports that
 * cannot be delivered. While the service follows the instance, it gets only the stacks of errors.
 */
export async function trackWorkflow<S extends StepLike, T>(
  env: FlowflareEnv,
  event: WorkflowEventLike,
  step: S,
  body: (step: S) => Promise<T> | T,
  options: TrackingOptions = {},
): Promise<T> {
  const timeLimitMs = options.timeLimitMs ?? DEFAULT_TIME_LIMIT_MS;
  let connection: Connection;
  try {
    connection = connectionOf(env, timeLimitMs);
  } catch (error) {
    warn(`${event.instanceId} is not tracked: ${describe(error).message}`);
    return body(step);
  }
  const key: InstanceKey = {
    workflow: options.workflow ?? event.workflowName ?? "unnamed",
    instanceId: event.instanceId,
  };
  const sender = new Sender(
    connection,
    () => recordOf(connection, key),
    () => historyOf(connection, key),
  );
  const run = new Run(sender, key);
  const failures = new WeakMap<object, Failure>();
  // It has the methods of S; the types of their overloads are those of S.
  const tracked = new TrackedStep(step, run, failures) as unknown as S;
  run.begins({
    input: snapshot(event.payload),
    ...(options.reference && { reference: options.reference }),
    ...(options.metadata !== undefined && { metadata: snapshot(options.metadata) }),
  });
  try {
    const result = await body(tracked);
    const refusal = refusalOf(result);
    if (refusal) run.fails(refusal);
    else run.completes(result);
    await finish(step, sender, timeLimitMs);
    return result;
  } catch (error) {
    if (isEngineStop(error)) {
      // Whoever asked for an end records it. A pause begins when the running step has ended, which
      // only the run can see.
      if (isPause(error)) run.isPaused();
      // Reports without a number, because the record was not read yet, would be those of the next run.
      if (isRestart(error)) sender.drop("the run was restarted");
      await sender.flush(STOP_LIMIT_MS, { isEnd: true });
      throw error;
    }
    run.fails(failureOf(error, failures));
    await finish(step, sender, timeLimitMs);
    throw error;
  } finally {
    const undelivered = sender.close();
    if (undelivered) warn(`${event.instanceId}: ${undelivered}`);
  }
}

/** Deliver the remaining reports; if that fails, again in a step that the engine retries. */
async function finish(step: StepLike, sender: Sender, timeLimitMs: number): Promise<void> {
  if (await sender.flush(timeLimitMs, { isEnd: true })) return;
  try {
    await step.do(LAST_STEP, { retries: LAST_ATTEMPTS }, async () => {
      if (!(await sender.flush(timeLimitMs, { isEnd: true })))
        throw new Error("Flowflare does not answer.");
      return true;
    });
  } catch (error) {
    // Undelivered reports are logged when the sender is closed; they do not fail the workflow.
    if (isEngineStop(error)) throw error;
  }
}

/** The service's record of an instance's current run; throws FlowflareError. */
async function recordOf(connection: Connection, key: InstanceKey): Promise<Known> {
  const variables = objectText(key);
  let state: State;
  try {
    state = (await connection.request(STATE, variables)) as State;
  } catch (error) {
    // There are tens of thousands of steps; their reports are repeated, which changes nothing.
    if (!(error instanceof RequestError) || error.code !== "RESULT_TOO_LARGE") throw error;
    state = (await connection.request(STATUS, variables)) as State;
  }
  const { instance } = state;
  if (!instance) return new Known(undefined, [], FIRST_RUN);
  const steps = (instance.steps ?? []).map(
    ({ status, attemptCount, ...step }): [string, KnownStep] => [
      stepKey(step),
      { status, attempt: attemptCount },
    ],
  );
  return new Known(instance.status, steps, instance.run, history(instance));
}

/** State of the service's record of the engine's history; throws FlowflareError. */
async function historyOf(connection: Connection, key: InstanceKey): Promise<History> {
  const state = (await connection.request(FOLLOWING, objectText(key))) as {
    instance: Followed | null;
  };
  return state.instance ? history(state.instance) : "none";
}

function history({ following, status }: Followed): History {
  if (following !== "FOLLOWED") return "none";
  // The first part of a history begins the run.
  return status === "QUEUED" ? "awaited" : "recorded";
}

/** The engine's error for the result of a run; undefined if the engine accepts it. */
function refusalOf(result: unknown): Failure | undefined {
  try {
    structuredClone(result);
    return undefined;
  } catch (error) {
    return describe(error);
  }
}

function failureOf(error: unknown, failures: WeakMap<object, Failure>): Failure {
  const known = typeof error === "object" && error !== null ? failures.get(error) : undefined;
  return known ?? describe(error);
}
