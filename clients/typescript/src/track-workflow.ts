/** The one import of a workflow: `trackWorkflow` records a run from its start to its end. */

import { connectionOf } from "./connection.ts";
import type { Connection, FlowflareEnv } from "./connection.ts";
import { RequestError } from "./errors.ts";
import { describe, isEngineStop, isPause } from "./failures.ts";
import type { Failure } from "./failures.ts";
import { objectText, snapshot } from "./json.ts";
import { Known } from "./plan.ts";
import type { KnownStep } from "./plan.ts";
import { Run } from "./run.ts";
import { Sender } from "./sender.ts";
import type { InstanceStatus, StepStatus } from "./statuses.ts";
import { TrackedStep } from "./tracked-step.ts";
import type { StepLike } from "./tracked-step.ts";
import type { Reference } from "./updates.ts";
import { warn } from "./warnings.ts";

/** What is used of the event that `run` gets. */
export interface WorkflowEventLike {
  readonly payload: unknown;
  readonly instanceId: string;
  readonly workflowName?: string;
}

/** How a run is tracked. All but the time limit is for an instance not started through Flowflare. */
export interface TrackingOptions {
  /** Name of the workflow; the engine's own where absent. */
  workflow?: string;
  reference?: Reference;
  metadata?: unknown;
  /** Milliseconds after which a call is given up and made again; 5,000 where absent. */
  timeLimitMs?: number;
}

const DEFAULT_TIME_LIMIT_MS = 5000;
/** How long a run that the engine stops waits for its reports to arrive. */
const STOP_LIMIT_MS = 2000;
/** Name of the engine's step that delivers what is left at the end of a run. */
const LAST_STEP = "flowflare: deliver";
// About a minute: long enough for a deployment of the service, or a restart.
const LAST_ATTEMPTS = { limit: 6, delay: 1000, backoff: "exponential" } as const;

const STATE = `query State($instanceId: String!) {
  instance(instanceId: $instanceId) { status steps { name status attemptCount } }
}`;
const STATUS = `query Status($instanceId: String!) {
  instance(instanceId: $instanceId) { status }
}`;

interface State {
  instance: {
    status: InstanceStatus;
    steps?: { name: string; status: StepStatus; attemptCount: number }[];
  } | null;
}

/**
 * Run a workflow's body with a `step` that has Cloudflare's own methods and reports everything:
 * the instance from RUNNING to COMPLETED or ERRORED, each step, attempt, retry, sleep and wait.
 *
 *     async run(event, step) {
 *       return trackWorkflow(this.env, event, step, async (step) => { … });
 *     }
 *
 * Returns what the body returns and throws what it throws. Tracking never throws: while the
 * service is away reports wait and are sent again, and what cannot be delivered in the end is
 * named in one line of the log.
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
  const sender = new Sender(connection, () => knownBy(connection, event.instanceId));
  const run = new Run(sender, event.instanceId);
  const failures = new WeakMap<object, Failure>();
  // Its methods take what S's take; the types of the overloads stay those of S.
  const tracked = new TrackedStep(step, run, failures) as unknown as S;
  run.begins({
    workflow: options.workflow ?? event.workflowName ?? "unnamed",
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
      // Whoever asked for an end records it; a pause begins when the step that runs has ended,
      // which nobody knows better.
      if (isPause(error)) run.isPaused();
      await run.delivered(STOP_LIMIT_MS);
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

/** Deliver what is left; if that fails, once more in a step, which the engine retries. */
async function finish(step: StepLike, sender: Sender, timeLimitMs: number): Promise<void> {
  if (await sender.flush(timeLimitMs)) return;
  try {
    await step.do(LAST_STEP, { retries: LAST_ATTEMPTS }, async () => {
      if (!(await sender.flush(timeLimitMs))) throw new Error("Flowflare does not answer.");
      return true;
    });
  } catch (error) {
    // Not delivered: that is said when the sender is closed, and is no failure of the workflow.
    if (isEngineStop(error)) throw error;
  }
}

/** What the service knows of an instance; raises FlowflareError. */
async function knownBy(connection: Connection, instanceId: string): Promise<Known> {
  const variables = objectText({ instanceId });
  let state: State;
  try {
    state = (await connection.request(STATE, variables)) as State;
  } catch (error) {
    // Tens of thousands of steps: their reports are repeated then, which changes nothing.
    if (!(error instanceof RequestError) || error.code !== "RESULT_TOO_LARGE") throw error;
    state = (await connection.request(STATUS, variables)) as State;
  }
  const { instance } = state;
  if (!instance) return new Known();
  const steps = (instance.steps ?? []).map(
    ({ name, status, attemptCount }): [string, KnownStep] => [
      name,
      { status, attempt: attemptCount },
    ],
  );
  return new Known(instance.status, steps);
}

/** Why the engine will not take what a run returns; undefined where it will. */
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
