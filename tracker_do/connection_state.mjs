// The state of a connection, and its JSON, whose members have the names that are stored.

/**
 * The state of a connection (see `Connection` in protocol.py).
 * @typedef {object} ConnectionState
 * @property {Record<string, any>} [principal] claims and key of the caller; undefined until
 *   connection_init was accepted
 * @property {number} [initDeadline] of connection_init, milliseconds since 1970; set until then
 * @property {boolean} [isBound] true if connection_init needs no key; set until then
 * @property {Map<string, [plan: string, position: Position]>} subscriptions by the client's ids
 * @property {number} [pingedAt] time of the unanswered ping, milliseconds since 1970
 * @property {string[]} running ids of queries and mutations that are being executed; not stored, since
 *   they end with the object
 *
 * @typedef {number | string | null} Position of a subscriber in the log (see protocol.py)
 */

/**
 * Write a state as JSON text.
 * @param {ConnectionState} state
 * @param {{ running?: undefined, position?: number }} [more] members to add or replace
 */
export function stateText(state, more) {
  const { principal: who, subscriptions, initDeadline: until, isBound: bound, ...rest } = state;
  return JSON.stringify({ who, until, bound, ...rest, streams: [...subscriptions], ...more });
}

/**
 * Read a state that `stateText` or Python wrote.
 * @param {any} written parsed
 * @returns {ConnectionState}
 */
export function stateOf({ who, until, bound, streams, running = [], pingedAt }) {
  return {
    principal: who,
    initDeadline: until,
    isBound: bound,
    subscriptions: new Map(streams),
    running,
    pingedAt,
  };
}

/**
 * The time at which a connection's token expires, milliseconds since 1970.
 * @param {ConnectionState} state
 */
export const expiryOf = ({ principal }) => (principal?.exp ?? Infinity) * 1000;
