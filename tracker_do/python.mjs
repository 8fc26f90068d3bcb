// The functions and settings of Python that JavaScript uses, installed once for each isolate.

/**
 * All arguments and results are JSON text, except messages and problems (see server.py).
 * @typedef {object} Python
 * @property {(state: string, message: string, problem: string) => string} receive
 * @property {(fingerprints: string) => string} revokedKeys
 * @property {(principal: string, id: string, payload: string, failure: string) => string} execute
 * @property {(request: string) => string} poll
 * @property {(task: number, result: string) => string} resume
 *
 * @typedef {object} Limits (see settings.py)
 * @property {number} sockets
 * @property {number} pollEvents
 * @property {number} pollReplays
 * @property {number} pollAgainMs
 * @property {number} firstRetryMs
 * @property {number} maxRetryMs
 * @property {number} maxPosition
 * @property {number} cursorLength
 * @property {number} unreadCharacters
 * @property {number} pongTimeoutMs
 * @property {number} initTimeoutMs
 * @property {number} frameBytes
 * @property {number} initFrameBytes
 * @property {number} initFrames
 * @property {number} operations
 * @property {import("../resolvers/runtime/json_text.mjs").JsonLimits} json
 *
 * @typedef {[code: number, reason: string]} Close
 * @typedef {object} Closes (see closes.py)
 * @property {Close} tokenExpired
 * @property {Close} keyRevoked
 * @property {Close} initTimeout
 * @property {Close} unread
 * @property {Close} shardFull
 * @property {Close} positionLost
 * @property {Close} subscriptionLost
 * @property {Close} sendFailed
 * @property {Close} unexpected
 */

/** @type {Python} */
export let python;
/** @type {Limits} */
export let limits;
/** @type {Closes} */
export let closes;

/**
 * @param {string} settings limits and closes, JSON text
 * @param {Python["receive"]} receive
 * @param {Python["revokedKeys"]} revokedKeys
 * @param {Python["execute"]} execute
 * @param {Python["poll"]} poll
 * @param {Python["resume"]} resume
 */
export function install(settings, receive, revokedKeys, execute, poll, resume) {
  ({ limits, closes } = JSON.parse(settings));
  python = { receive, revokedKeys, execute, poll, resume };
}
