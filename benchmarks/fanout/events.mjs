// The events that all sides deliver. The n-th event reports a change of one instance. The peers have
// no database of instances, so they create their events here.

/** The reference of all instances; subscribers filter by it. */
export const REFERENCE = { refType: "order", refId: "order-fanout" };
export const WORKFLOW = "fulfilment";
/** A burst must not change an instance twice, because both events would show its last state. */
export const INSTANCES = 500;
/** The maximum number of updates in one `track`. */
export const BATCH = 100;

/** The text before the number of an event in a frame. It occurs exactly once per event. */
export const NUMBER_PREFIX = '"p-';
const DIGITS = 6;
export const NUMBER_LENGTH = NUMBER_PREFIX.length + DIGITS;

const STARTED_AT = "2026-01-05T08:00:00.150Z";
const CURSOR_LENGTH = 16;

/** @typedef {{ instanceId: string, metadata: Record<string, unknown> }} Update */

/** @param {number} n the event */
export const instanceIdOf = (n) => `fanout-${String(n % INSTANCES).padStart(5, "0")}`;

/**
 * Create the update that causes the n-th event.
 * @param {number} n
 * @returns {Update}
 */
export function updateOf(n) {
  const number = String(n).padStart(DIGITS, "0");
  return { instanceId: instanceIdOf(n), metadata: { publish: `p-${number}` } };
}

/**
 * Create a page with the events of some updates, in our form.
 * @param {Update[]} updates
 * @param {number} last position of the event before these
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
