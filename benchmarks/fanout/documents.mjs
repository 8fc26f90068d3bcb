// What is subscribed to, and the requests that publish.

import { REFERENCE, pageOf, updateOf } from "./events.mjs";

/** Members that a selection can leave out: those of an event, then those of its instance. */
const OF_EVENT = ["type", "at", "status"];
const OF_INSTANCE = ["workflow { name }", "startedAt", "updatedAt"];
export const MAX_SELECTIONS = 2 ** (OF_EVENT.length + OF_INSTANCE.length);

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
 * One of the distinct selections; the first has all members.
 * @param {number} number from 0
 */
export function subscriptionTo(number) {
  const chosen = [...OF_EVENT, ...OF_INSTANCE].filter((_, bit) => ((number >> bit) & 1) === 0);
  const [ofEvent, ofInstance] = [OF_EVENT, OF_INSTANCE].map((members) =>
    members.filter((member) => chosen.includes(member)).join(" "),
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
 * @property {string} expected what the answer must hold
 */

/**
 * The mutation that publishes these numbers, the same for both GraphQL sides.
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
 * The frame that the floor passes on as it is.
 * @param {number[]} numbers
 * @returns {Publication}
 */
export function readyFrame(numbers) {
  const workflowEvents = pageOf(numbers.map(updateOf), numbers[0] - 1);
  // The cursor again, as ours has it, so that the frames are of one size.
  const extensions = { cursor: workflowEvents.cursor };
  const frame = { id: "1", type: "next", payload: { data: { workflowEvents }, extensions } };
  return { body: JSON.stringify(frame), expected: "published" };
}
