/** Instances as WorkflowClient returns them: the previous library's names, the API's values. */

import type { Failure } from "./failures.ts";
import { spelled } from "./statuses.ts";
import type { InstanceStatus, StepKind, StepStatus, WorkflowStatus } from "./statuses.ts";
import type { Reference } from "./updates.ts";

/** An instance in the API's form. */
export interface Instance {
  instanceId: string;
  run: number;
  status: InstanceStatus;
  workflow: { name: string };
  reference: Reference | null;
  input: unknown;
  output: unknown;
  metadata: unknown;
  error: Failure | null;
  createdAt: string;
  startedAt: string | null;
  updatedAt: string;
  completedAt: string | null;
  sleepUntil: string | null;
  duration: number | null;
  steps?: WorkflowStepDetail[];
}

export interface WorkflowAttempt {
  number: number;
  status: "RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED";
  error: Failure | null;
  startedAt: string | null;
  endedAt: string | null;
  retryAt: string | null;
}

export interface WorkflowStepDetail {
  name: string;
  /** Number of the step among those of the run with its name, from 1. */
  occurrence: number;
  index: number;
  kind: StepKind;
  status: StepStatus;
  output: unknown;
  error: Failure | null;
  startedAt: string | null;
  completedAt: string | null;
  /** Milliseconds from start to end. */
  duration: number | null;
  nextRetryAt: string | null;
  attempts: WorkflowAttempt[];
}

/** An instance of a workflow. */
export interface Workflow {
  /** The instance's id. */
  id: string;
  /** The workflow's name. */
  name: string;
  /** Number of the current run, from 1; a restart begins the next. */
  run: number;
  status: WorkflowStatus;
  ref_id: string | null;
  ref_type: string | null;
  input_params: unknown;
  output_result: unknown;
  metadata: unknown;
  error: Failure | null;
  created_at: string;
  started_at: string | null;
  updated_at: string;
  completed_at: string | null;
  sleep_until: string | null;
  /** Milliseconds from start to completion. */
  duration: number | null;
  /** By index; only from `getWorkflow`. */
  steps?: WorkflowStepDetail[];
}

/** An instance of the API, with the names of WorkflowClient. */
export function workflowOf(instance: Instance): Workflow {
  return {
    id: instance.instanceId,
    name: instance.workflow.name,
    run: instance.run,
    status: spelled(instance.status),
    ref_id: instance.reference?.refId ?? null,
    ref_type: instance.reference?.refType ?? null,
    input_params: instance.input,
    output_result: instance.output,
    metadata: instance.metadata,
    error: instance.error,
    created_at: instance.createdAt,
    started_at: instance.startedAt,
    updated_at: instance.updatedAt,
    completed_at: instance.completedAt,
    sleep_until: instance.sleepUntil,
    duration: instance.duration,
    ...(instance.steps && { steps: instance.steps }),
  };
}
