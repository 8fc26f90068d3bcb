/** `updateWorkflowInstance` and `updateWorkflowStep`: single reports with the previous names. */

import type { FlowflareEnv } from "./connection.ts";
import { describe } from "./failures.ts";
import type { Failure } from "./failures.ts";
import { snapshot } from "./json.ts";
import type { JsonText } from "./json.ts";
import { Known } from "./plan.ts";
import { reporterOf } from "./reporter.ts";
import { textOf } from "./step-names.ts";
import { instanceStatus, stepStatus } from "./statuses.ts";
import type { InstanceUpdate, StepUpdate, Update } from "./updates.ts";

/** A report on an instance: an absent member stays unchanged, null clears it. */
export interface WorkflowInstanceData {
  /** The instance's id. */
  id: string;
  /**
   * Name of the workflow: creates the instance if the workflow has none with the id. Otherwise it is
   * needed only if instances of several workflows have the id.
   */
  workflow?: string | undefined;
  /** The same as `workflow`. */
  workflow_name?: string | undefined;
  /** Number of the run; if it is given, the report changes nothing after a restart. */
  run?: number | undefined;
  ref_id?: string | null | undefined;
  ref_type?: string | null | undefined;
  /** `Running`, `Sleeping`, `Completed`, `Errored`, …, or the API's names. */
  status?: string | undefined;
  input_params?: unknown;
  output_result?: unknown;
  /** Merged with the recorded metadata: members replace those of the same name, null removes. */
  metadata?: unknown;
  error?: Error | Failure | string | null | undefined;
  /** The end of a sleep. */
  sleep_until?: Date | string | null | undefined;
  /** Accepted for old callers, and ignored: the service records its own times. */
  created_at?: unknown;
  updated_at?: unknown;
  completed_at?: unknown;
}

/** A report on a step. */
export interface WorkflowStepData {
  workflow_instance_id: string;
  /** Name of the workflow; needed if instances of several workflows have the id. */
  workflow?: string | undefined;
  /** Number of the run; if it is given, the report changes nothing after a restart. */
  run?: number | undefined;
  step_name: string;
  /** Number of the step among those of the run with its name, from 1; 1 by default. */
  occurrence?: number | undefined;
  /** `Pending`, `Running`, `Retrying`, `Completed` or `Failed`. */
  status: string;
  step_index?: number | undefined;
  /** The result of the step. */
  state?: unknown;
  error?: Error | Failure | string | null | undefined;
  /** From 1; the current attempt by default. */
  attempt?: number | undefined;
  retry_at?: Date | string | null | undefined;
  /** Accepted for old callers, and ignored: the service records its own ids and times. */
  id?: unknown;
  started_at?: unknown;
  completed_at?: unknown;
}

/**
 * Record a change of an instance; true if it was recorded. Failures of the service are logged and
 * not thrown. Throws ConfigurationError for an unknown status.
 */
export async function updateWorkflowInstance(
  data: WorkflowInstanceData,
  env: FlowflareEnv,
): Promise<boolean> {
  const { id, run, ref_id, ref_type, status, error, sleep_until } = data;
  const workflow = data.workflow ?? data.workflow_name;
  const instance: InstanceUpdate = {
    instanceId: id,
    ...(workflow !== undefined && { workflow }),
    ...(run !== undefined && { run }),
    ...referenceOf(ref_type, ref_id),
    ...(status !== undefined && { status: instanceStatus(status) }),
    ...given("input", data.input_params),
    ...given("output", data.output_result),
    ...given("metadata", data.metadata),
    ...(error !== undefined && { error: error === null ? null : describe(error) }),
    ...(sleep_until !== undefined && { sleepUntil: instant(sleep_until) }),
  };
  return report(env, { instance }, id);
}

/** Record a change of a step, like `updateWorkflowInstance`. */
export async function updateWorkflowStep(
  data: WorkflowStepData,
  env: FlowflareEnv,
): Promise<boolean> {
  const { workflow_instance_id: instanceId, workflow, run } = data;
  const { occurrence, step_index, error, attempt } = data;
  const name = textOf(data.step_name);
  const retryAt = data.retry_at ? instant(data.retry_at) : null;
  const step: StepUpdate = {
    instanceId,
    ...(workflow !== undefined && { workflow }),
    ...(run !== undefined && { run }),
    name,
    ...(occurrence !== undefined && { occurrence }),
    status: stepStatus(data.status),
    ...(step_index !== undefined && { index: step_index }),
    ...given("output", data.state),
    ...(error !== undefined && error !== null && { error: describe(error) }),
    ...(attempt !== undefined && { attempt }),
    ...(retryAt !== null && { retryAt }),
  };
  return report(env, { step }, `${instanceId}, step ${name}`);
}

function report(env: FlowflareEnv, update: Update, subject: string): Promise<boolean> {
  const reporter = reporterOf(env, subject, new Known());
  reporter.add(update);
  return reporter.close();
}

function referenceOf(
  refType: string | null | undefined,
  refId: string | null | undefined,
): Pick<InstanceUpdate, "reference"> {
  if (refType && refId) return { reference: { refType, refId } };
  return refType === null && refId === null ? { reference: null } : {};
}

/** A JSON value, or its text, which the previous library required. */
function given(name: string, value: unknown): Record<string, JsonText> {
  if (value === undefined) return {};
  return { [name]: snapshot(typeof value === "string" ? unpacked(value) : value) };
}

function unpacked(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function instant(at: Date | string | null): string | null {
  return at instanceof Date ? at.toISOString() : at;
}
