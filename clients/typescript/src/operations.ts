/** The operations of WorkflowClient, with the types of their results. */

import type { TypedDocument } from "./typed-document.ts";
import type { Refusal } from "./errors.ts";
import type { Instance } from "./workflows.ts";

type Result<Payload> = { result: Payload | Refusal };

/** An action on an instance. */
export type Action = TypedDocument<Result<{ instance: Pick<Instance, "instanceId" | "status"> }>>;

const REFUSALS = "... on Error { code message }";
const FIELDS = `instanceId run status workflow { name } reference { refType refId }
  input output metadata error { name message stack }
  createdAt startedAt updatedAt completedAt sleepUntil duration`;

export const START: TypedDocument<
  Result<{ instance: Pick<Instance, "instanceId" | "status" | "reference" | "createdAt"> }>
> = `mutation StartWorkflow($input: StartWorkflowInput!) {
  result: startWorkflow(input: $input) {
    ... on InstancePayload { instance { instanceId status reference { refType refId } createdAt } }
    ${REFUSALS}
    ... on InvalidInput { path }
    ... on UnboundWorkflow { suggestions }
  }
}`;

export const GET: TypedDocument<{ instance: Instance | null }> =
  `query Workflow($instanceId: String!, $workflow: String) {
  instance(instanceId: $instanceId, workflow: $workflow) {
    ${FIELDS}
    steps {
      name occurrence index kind status output error { name message stack }
      startedAt completedAt duration nextRetryAt
      attempts { number status error { name message stack } startedAt endedAt retryAt }
    }
  }
}`;

export const LIST: TypedDocument<{
  instances: { nodes: Instance[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}> = `query Workflows($filter: InstanceFilter, $first: Int, $after: String) {
  instances(filter: $filter, first: $first, after: $after) {
    nodes { ${FIELDS} }
    pageInfo { hasNextPage endCursor }
  }
}`;

export const PAUSE = action("pauseWorkflow");
export const RESUME = action("resumeWorkflow");
export const TERMINATE = action("terminateWorkflow");
export const RESTART = action("restartWorkflow");
export const SEND_EVENT = action("sendWorkflowEvent", "SendWorkflowEventInput");

function action(field: string, input = "InstanceActionInput"): Action {
  return `mutation Act($input: ${input}!) {
    result: ${field}(input: $input) {
      ... on InstancePayload { instance { instanceId status } }
      ${REFUSALS}
      ... on IllegalTransition { from to }
      ... on AmbiguousInstance { instances { workflow { name } } }
    }
  }`;
}
