// The subscriptions, and the requests that publish events.

import { REFERENCE, pageOf, updateOf } from "./events.mjs";

/** Fields of an event and of its instance that a selection can leave out. */
const EVENT_FIELDS = ["type", "at", "status"];
const INSTANCE_FIELDS = ["workflow { name }", "startedAt", "updatedAt"];

const UPDATE = `mutation Update($input: UpdateWorkflowInstanceInput!) {
  updateWorkflowInstance(input: $input) {
    __typename
    ... on InstancePayload { instance { instanceId } }
  }
}`;

const TRACK = `mutation Track($updates: [TrackingUpdate!]!) {
  track(updates: $updates) {
    __typename
    ... on TrackPayload { applied }
  }
}`;

/**
 * Create a `subscribe` payload. Each bit of `number` leaves out one field, so the selection of 0 is
 * complete, and 64 selections differ.
 * @param {number} number
 */
export function subscriptionPayload(number) {
  const chosen = [...EVENT_FIELDS, ...INSTANCE_FIELDS].filter(
    (_, bit) => ((number >> bit) & 1) === 0,
  );
  const [ofEvent, ofInstance] = [EVENT_FIELDS, INSTANCE_FIELDS].map((fields) =>
    fields.filter((field) => chosen.includes(field)).join(" "),
  );
  return {
    operationName: "Follow",
    query: `subscription Follow($filter: EventFilter) {
      workflowEvents(filter: $filter) {
        cursor
        events {
          cursor ${ofEvent}
          instance { instanceId status ${ofInstance} metadata }
        }
      }
    }`,
    variables: { filter: { reference: REFERENCE } },
  };
}

/**
 * @typedef {object} Publication
 * @property {string} body of the request
 * @property {string} expected text that the response must contain
 */

/**
 * Create the mutation that publishes these events, the same for both GraphQL sides.
 * @param {number[]} numbers
 * @returns {Publication}
 */
export function mutation(numbers) {
  const updates = numbers.map(updateOf);
  if (updates.length === 1) {
    const request = { query: UPDATE, operationName: "Update", variables: { input: updates[0] } };
    return { body: JSON.stringify(request), expected: '"InstancePayload"' };
  }
  const variables = { updates: updates.map((instance) => ({ instance })) };
  return {
    body: JSON.stringify({ query: TRACK, operationName: "Track", variables }),
    expected: `"applied":${numbers.length}`,
  };
}

/**
 * Create the frame that the floor forwards without changes.
 * @param {number[]} numbers
 * @returns {Publication}
 */
export function readyFrame(numbers) {
  const workflowEvents = pageOf(numbers.map(updateOf), numbers[0] - 1);
  // Our frames repeat the cursor here, so this makes the sizes equal.
  const extensions = { cursor: workflowEvents.cursor };
  const frame = { id: "1", type: "next", payload: { data: { workflowEvents }, extensions } };
  return { body: JSON.stringify(frame), expected: "published" };
}
