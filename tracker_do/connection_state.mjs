// The state of a connection and its JSON, whose members have the names they were first stored by.

/**
 * A connection's state (`Connection` in protocol.py).
 * @typedef {object} ConnectionState
 * @property {Record<string, any>} [principal] claims and key of the caller; undefined until
 *   connection_init was accepted
 * @property {number} [initDeadline] when it must have been, milliseconds since 1970; till then
 * @property {boolean} [isBound] true if it may be without a key; till then
 * @property {Map<string, [plan: string, position: Position]>} subscriptions by their clients' ids
 * @property {number} [pingedAt] when the ping was sent that is not answered, milliseconds since 1970
 * @property {string[]} running ids of what is being executed; not stored, for it ends with the object
 *
 * @typedef {number | string | null} Position of a subscriber in the log (see protocol.py)
 */

/**
 * Write a state as JSON text.
 * @param {ConnectionState} state
 * @param {{ running?: undefined, position?: number }} [more] members beside it, or instead
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
 * Read when a connection's key or token expires, milliseconds since 1970.
 * @param {ConnectionState} state
 */
export const expiryOf = ({ principal }) => (principal?.exp ?? Infinity) * 1000;
