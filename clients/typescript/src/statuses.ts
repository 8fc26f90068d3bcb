/** The vocabularies of states: as the API names them, and as the JavaScript library before did. */

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

export type StepStatus = "PENDING" | "RUNNING" | "RETRYING" | "COMPLETED" | "FAILED";
export type StepKind = "TASK" | "SLEEP" | "WAIT_FOR_EVENT";
export type Backoff = "CONSTANT" | "LINEAR" | "EXPONENTIAL";

/** A status as the methods of WorkflowClient give it: `Running`, `Completed`, … */
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

// `Pending` is what the library before called a run that has not begun.
const BY_SPELLING = new Map<string, InstanceStatus>([["pending", "QUEUED"]]);
for (const status of Object.keys(SPELLED) as InstanceStatus[])
  BY_SPELLING.set(bare(status), status);

const STEP_STATUSES: readonly StepStatus[] = [
  "PENDING",
  "RUNNING",
  "RETRYING",
  "COMPLETED",
  "FAILED",
];

/** States that an instance does not leave by itself. */
export const TERMINAL: ReadonlySet<InstanceStatus> = new Set([
  "COMPLETED",
  "ERRORED",
  "TERMINATED",
]);

/** `Running`, `running` or `RUNNING` as the API has it; raises ConfigurationError. */
export function instanceStatus(spelling: string): InstanceStatus {
  const status = BY_SPELLING.get(bare(spelling));
  if (status === undefined) throw unknownStatus(spelling, Object.values(SPELLED));
  return status;
}

/** The same for a step's status. */
export function stepStatus(spelling: string): StepStatus {
  const status = STEP_STATUSES.find((name) => name === spelling.toUpperCase());
  if (status === undefined) throw unknownStatus(spelling, STEP_STATUSES);
  return status;
}

/** The API's status as WorkflowClient gives it; one newer than this package stays as it is. */
export function spelled(status: InstanceStatus): WorkflowStatus {
  return SPELLED[status] ?? status;
}

function bare(spelling: string): string {
  return spelling.replaceAll(/[_\s-]/g, "").toLowerCase();
}

function unknownStatus(spelling: string, known: readonly string[]): ConfigurationError {
  return new ConfigurationError(
    `${JSON.stringify(spelling)} is no status; there are ${known.join(", ")}.`,
  );
}
