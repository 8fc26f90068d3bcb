/** Reports: the inputs of the `track` mutation. */

import type { Failure } from "./failures.ts";
import { JsonText, objectText } from "./json.ts";
import type { Backoff, InstanceStatus, ReportedStepStatus, StepKind } from "./statuses.ts";

/** An external entity that a workflow works on: an order, a user. */
export interface Reference {
  refType: string;
  refId: string;
}

/** The retry policy of a step, as it is recorded. */
export interface RetryPolicy {
  /** Retries after the first attempt. */
  limit: number;
  /** Milliseconds. */
  delay: number;
  backoff: Backoff;
}

/** `UpdateWorkflowInstanceInput`: absent means unchanged, null clears. */
export interface InstanceUpdate {
  instanceId: string;
  workflow?: string;
  /** Number of the run; a report on another run than the current one is refused. */
  run?: number;
  reference?: Reference | null;
  status?: InstanceStatus;
  input?: JsonText;
  output?: JsonText;
  error?: Failure | null;
  metadata?: JsonText;
  sleepUntil?: string | null;
}

/** `UpdateWorkflowStepInput`. */
export interface StepUpdate {
  instanceId: string;
  workflow?: string;
  /** Number of the run; a report on another run than the current one is refused. */
  run?: number;
  name: string;
  /** Number of the step among those of the run with its name, from 1, which is the default. */
  occurrence?: number;
  status: ReportedStepStatus;
  index?: number;
  kind?: StepKind;
  output?: JsonText;
  error?: Failure;
  /** From 1; the current attempt by default. */
  attempt?: number;
  retryPolicy?: RetryPolicy;
  retryAt?: string;
}

/** One update of a batch. */
export type Update = { readonly instance: InstanceUpdate } | { readonly step: StepUpdate };

/** The update as JSON text. */
export function updateText(update: Update): string {
  return "step" in update
    ? `{"step":${objectText(update.step)}}`
    : `{"instance":${objectText(update.instance)}}`;
}

/** True if the update has the stack of an error, which the engine's history lacks. */
export function hasStack(update: Update): boolean {
  const { error } = "step" in update ? update.step : update.instance;
  return error?.stack !== undefined;
}

/** The update with its large values cut to previews; undefined if there is nothing to cut. */
export function shortened(update: Update): Update | undefined {
  const members: object = "step" in update ? update.step : update.instance;
  const cut: Record<string, JsonText> = {};
  for (const [name, value] of Object.entries(members)) {
    if (value instanceof JsonText && value.truncated().bytes < value.bytes)
      cut[name] = value.truncated();
  }
  if (Object.keys(cut).length === 0) return undefined;
  return "step" in update
    ? { step: { ...update.step, ...cut } }
    : { instance: { ...update.instance, ...cut } };
}
