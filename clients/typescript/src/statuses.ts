/** Names of statuses: the API's, and those of the previous JavaScript library. */

import { ConfigurationError } from "./errors.ts";

export type InstanceStatus =
  | "QUEUED"
  | "RUNNING"
  | "SLEEPING"
  | "WAITING"
  | "WAITING_FOR_PAUSE"
  | "PAUSED"
  | "COMPLETED"
  | "ERRORED"
  | "TERMINATED"
  | "UNKNOWN";

/** The statuses of a step that can be reported. */
export type ReportedStepStatus = "PENDING" | "RUNNING" | "RETRYING" | "COMPLETED" | "FAILED";
/** `CANCELLED` is set by the service: the instance ended before the step did. */
export type StepStatus = ReportedStepStatus | "CANCELLED";
export type StepKind = "TASK" | "SLEEP" | "WAIT_FOR_EVENT";
export type Backoff = "CONSTANT" | "LINEAR" | "EXPONENTIAL";

/** A status in the results of WorkflowClient: `Running`, `Completed`, … */
export type WorkflowStatus =
  | "Queued"
  | "Running"
  | "Sleeping"
  | "Waiting"
  | "WaitingForPause"
  | "Paused"
  | "Completed"
  | "Errored"
  | "Terminated"
  | "Unknown";

const SPELLED: Readonly<Record<InstanceStatus, WorkflowStatus>> = {
  QUEUED: "Queued",
  RUNNING: "Running",
  SLEEPING: "Sleeping",
  WAITING: "Waiting",
  WAITING_FOR_PAUSE: "WaitingForPause",
  PAUSED: "Paused",
  COMPLETED: "Completed",
  ERRORED: "Errored",
  TERMINATED: "Terminated",
  UNKNOWN: "Unknown",
};

// The previous library called a run that has not begun `Pending`.
const BY_SPELLING = new Map<string, InstanceStatus>([["pending", "QUEUED"]]);
for (const status of Object.keys(SPELLED) as InstanceStatus[])
  BY_SPELLING.set(bare(status), status);

const STEP_STATUSES: readonly ReportedStepStatus[] = [
  "PENDING",
  "RUNNING",
  "RETRYING",
  "COMPLETED",
  "FAILED",
];

/** Statuses that an instance does not leave by itself. */
export const TERMINAL: ReadonlySet<InstanceStatus> = new Set([
  "COMPLETED",
  "ERRORED",
  "TERMINATED",
]);

/** The API's status for `Running`, `running` or `RUNNING`; throws ConfigurationError. */
export function instanceStatus(spelling: string): InstanceStatus {
  const status = BY_SPELLING.get(bare(spelling));
  if (status === undefined) throw unknownStatus(spelling, Object.values(SPELLED));
  return status;
}

/** The API's status of a reported step, in any case; throws ConfigurationError. */
export function stepStatus(spelling: string): ReportedStepStatus {
  const status = STEP_STATUSES.find((name) => name === spelling.toUpperCase());
  if (status === undefined) throw unknownStatus(spelling, STEP_STATUSES);
  return status;
}

/** The API's status as WorkflowClient returns it; one that is unknown here is unchanged. */
export function spelled(status: InstanceStatus): WorkflowStatus {
  return SPELLED[status] ?? status;
}

function bare(spelling: string): string {
  return spelling.replaceAll(/[_\s-]/g, "").toLowerCase();
}

function unknownStatus(spelling: string, known: readonly string[]): ConfigurationError {
  return new ConfigurationError(
    `status must be one of ${known.join(", ")}, not ${JSON.stringify(spelling)}.`,
  );
}
