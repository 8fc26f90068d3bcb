// The measured operations: documents, variables and expected responses.

import { HOT_REFERENCE, STEP_TARGETS, instanceIdOf } from "./seed.mjs";

/**
 * @typedef {object} Operation
 * @property {string} title as the table shows it
 * @property {string} document
 * @property {string} operationName
 * @property {(n: number) => Record<string, unknown>} variables of the n-th request to one side
 * @property {boolean} writes true if the response contains the time of the request
 * @property {string} expected text that every response must contain
 * @property {boolean} [hasFloor] true if benchmarks/floor can answer it
 * @property {number} [target] the highest acceptable ratio to Yoga
 */

const STEP_FIELDS = `name index kind status output error { name message } attemptCount
  startedAt completedAt`;

/** @type {Record<string, Operation>} */
export const OPERATIONS = {
  instance: {
    title: "get one instance",
    operationName: "Instance",
    document: `query Instance($instanceId: String!) {
      instance(instanceId: $instanceId) {
        id instanceId workflow { name } reference { refType refId } status input output
        error { name message } metadata createdAt startedAt updatedAt completedAt duration
      }
    }`,
    variables: (n) => ({ instanceId: instanceIdOf(n % 500) }),
    writes: false,
    expected: '"instanceId"',
    hasFloor: true,
    target: 1.0,
  },
  byReference: {
    title: "by reference: 20 instances × 10 steps",
    operationName: "ByReference",
    document: `query ByReference($refType: String!, $refId: String!) {
      reference(refType: $refType, refId: $refId) {
        refType refId
        instances(first: 20) {
          nodes {
            id instanceId workflow { name } status createdAt startedAt completedAt
            steps { ${STEP_FIELDS} }
          }
          pageInfo { hasNextPage }
        }
      }
    }`,
    variables: () => HOT_REFERENCE,
    writes: false,
    expected: '"steps"',
    hasFloor: true,
    target: 0.8,
  },
  byReferenceAttempts: {
    title: "the same with the attempts of each step",
    operationName: "ByReferenceAttempts",
    document: `query ByReferenceAttempts($refType: String!, $refId: String!) {
      reference(refType: $refType, refId: $refId) {
        refType refId
        instances(first: 20) {
          nodes {
            id instanceId workflow { name } status createdAt startedAt completedAt
            steps {
              ${STEP_FIELDS}
              attempts { number status error { name message } startedAt endedAt retryAt }
            }
          }
          pageInfo { hasNextPage }
        }
      }
    }`,
    variables: () => HOT_REFERENCE,
    writes: false,
    expected: '"attempts"',
  },
  list: {
    title: "page of 20 instances",
    operationName: "List",
    document: `query List($first: Int!) {
      instances(first: $first) {
        edges {
          cursor
          node {
            id instanceId workflow { name } reference { refType refId } status createdAt
            startedAt updatedAt completedAt duration
          }
        }
        pageInfo { hasNextPage endCursor }
      }
    }`,
    variables: () => ({ first: 20 }),
    writes: false,
    expected: '"endCursor"',
  },
  startWorkflow: {
    title: "startWorkflow",
    operationName: "Start",
    document: `mutation Start($input: StartWorkflowInput!) {
      startWorkflow(input: $input) {
        __typename
        ... on InstancePayload {
          instance {
            id instanceId workflow { name } reference { refType refId } status input metadata
            createdAt
          }
        }
        ... on InvalidInput { code message path }
        ... on InstanceConflict { code message }
        ... on UnboundWorkflow { code message suggestions }
      }
    }`,
    variables: (n) => ({
      input: {
        workflow: "measured",
        instanceId: `started-${n}`,
        reference: { refType: "measured", refId: `started-${n % 1000}` },
        input: { number: n, items: [{ sku: "A-1", quantity: 2 }], note: "as ordered" },
        metadata: { source: "benchmark" },
        trackOnly: true,
      },
    }),
    writes: true,
    expected: '"InstancePayload"',
    target: 1.2,
  },
  updateWorkflowStep: {
    title: "updateWorkflowStep, RUNNING then COMPLETED",
    operationName: "UpdateStep",
    document: `mutation UpdateStep($input: UpdateWorkflowStepInput!) {
      updateWorkflowStep(input: $input) {
        __typename
        ... on StepPayload { step { ${STEP_FIELDS} } }
        ... on InvalidInput { code message path }
        ... on NotFound { code message }
        ... on AmbiguousInstance { code message instances { workflow { name } } }
        ... on RunMismatch { code message run }
        ... on IllegalTransition { code message from to }
      }
    }`,
    variables: (n) => {
      const step = Math.floor(n / 2);
      const input = {
        instanceId: instanceIdOf(STEP_TARGETS[step % STEP_TARGETS.length]),
        name: `measured-${step}`,
      };
      return {
        input:
          n % 2 === 0
            ? { ...input, status: "RUNNING" }
            : { ...input, status: "COMPLETED", output: { charged: true, amount: 1999 } },
      };
    },
    writes: true,
    expected: '"StepPayload"',
    target: 1.2,
  },
};

const TIME_FIELDS = new Set(["createdAt", "startedAt", "updatedAt", "completedAt"]);
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Bring a response into a form that can be compared. White space is normalised. The times in the
 * response to a write are replaced, because only their format must be equal.
 * @param {Operation} operation
 * @param {string} text
 */
export function normalise(operation, text) {
  return JSON.stringify(
    JSON.parse(text, (key, value) =>
      operation.writes && TIME_FIELDS.has(key) && INSTANT.test(value) ? "<instant>" : value,
    ),
    null,
    1,
  );
}
