/**
 * Flowflare for JavaScript: `trackWorkflow` and `trackStep` in workflows, `WorkflowClient`
 * everywhere. `@flowflare/client/subscriptions` has the subscriptions alone.
 */

export { WorkflowClient } from "./client.ts";
export type {
  InstanceOptions,
  ListOptions,
  RefOptions,
  StartOptions,
  StartedWorkflow,
  WorkflowAction,
  WorkflowPage,
} from "./client.ts";
export type { FlowflareEnv, ServiceAddress, ServiceBinding } from "./connection.ts";
export type { TypedDocument } from "./typed-document.ts";
export {
  AmbiguousError,
  AmbiguousInstanceError,
  ConfigurationError,
  ConflictError,
  EngineUnavailableError,
  FlowflareError,
  ForbiddenError,
  IllegalTransitionError,
  InvalidInputError,
  NotFoundError,
  RefusedError,
  RequestError,
  RunMismatchError,
  UnauthenticatedError,
  UnboundWorkflowError,
  UnreachableError,
} from "./errors.ts";
export type { GraphQLFailure } from "./errors.ts";
export type { Failure } from "./failures.ts";
export type { Backoff, InstanceStatus, StepKind, StepStatus, WorkflowStatus } from "./statuses.ts";
export type { SubscribeOptions } from "./subscriptions.ts";
export { trackStep } from "./track-step.ts";
export type { StepRetryConfig } from "./track-step.ts";
export { trackWorkflow } from "./track-workflow.ts";
export type { TrackingOptions, WorkflowEventLike } from "./track-workflow.ts";
export type { StepLike } from "./tracked-step.ts";
export { updateWorkflowInstance, updateWorkflowStep } from "./update-instance.ts";
export type { WorkflowInstanceData, WorkflowStepData } from "./update-instance.ts";
export type { Reference } from "./updates.ts";
export type { Workflow, WorkflowAttempt, WorkflowStepDetail } from "./workflows.ts";
