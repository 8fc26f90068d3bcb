// The events that all sides deliver: the n-th publish changes one instance, and one event tells of
// it. The peers, which have no database of instances, make theirs here.

/** What the instances work on; subscribers ask for its events. */
export const REFERENCE = { refType: "order", refId: "order-fanout" };
export const WORKFLOW = "fulfilment";
/** No burst has more events: of an instance that changes twice, both would show its last state. */
export const INSTANCES = 500;
/** As many updates as one `track` takes. */
export const BATCH = 100;

/** What stands before an event's number in a frame, nowhere else, and once an event. */
export const MARK = '"p-';
const DIGITS = 6;
export const MARK_LENGTH = MARK.length + DIGITS;

const STARTED_AT = "2026-01-05T08:00:00.150Z";
const CURSOR_LENGTH = 16;

/** @typedef {{ instanceId: string, metadata: Record<string, unknown> }} Update */

/** @param {number} n the publish */
export const instanceIdOf = (n) => `fanout-${String(n % INSTANCES).padStart(5, "0")}`;

/**
 * What the n-th publish changes.
 * @param {number} n
 * @returns {Update}
 */
export function updateOf(n) {
  const number = String(n).padStart(DIGITS, "0");
  return { instanceId: instanceIdOf(n), metadata: { publish: `p-${number}` } };
}

/**
 * The page that tells of some updates, its members as ours has them.
 * @param {Update[]} updates
 * @param {number} last position in the log of the event before these
 */
export function pageOf(updates, last) {
  const at = new Date().toISOString();
  const cursor = (/** @type {number} */ position) => String(position).padStart(CURSOR_LENGTH, "0");
  const events = updates.map(({ instanceId, metadata }, index) => ({
    cursor: cursor(last + index + 1),
    type: "INSTANCE_UPDATED",
    at,
    status: "RUNNING",
    instance: {
      instanceId,
      workflow: { name: WORKFLOW },
      status: "RUNNING",
      startedAt: STARTED_AT,
      updatedAt: at,
      metadata,
    },
  }));
  return { cursor: cursor(last + updates.length), events };
}
