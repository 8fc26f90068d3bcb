// What Python lends this side, once an isolate.

/**
 * All that crosses is text, JSON but for messages (see server.py).
 * @typedef {object} Python
 * @property {(state: string, message: string, problem: string) => string} receive
 * @property {(fingerprints: string) => string} unwelcome
 * @property {(who: string, id: string, payload: string, failure: string) => string} execute
 * @property {(look: string) => string} look
 * @property {(task: number, answer: string) => string} resume
 *
 * @typedef {object} Limits
 * @property {number} sockets
 * @property {number} roundEvents
 * @property {number} unreadCharacters
 * @property {number} pongTimeoutMs
 * @property {number} initTimeoutMs
 * @property {number} watchAgainMs
 * @property {number} maxRetryMs
 * @property {number} frameBytes
 * @property {number} initFrameBytes
 * @property {number} initFrames
 * @property {number} operations
 * @property {number} replays
 * @property {import("../resolvers/runtime/json_text.mjs").JsonLimits} json
 */

/** @type {Python} */
export let python;
/** @type {Limits} */
export let limits;

/**
 * @param {string} numbers the limits, JSON text
 * @param {Python["receive"]} receive
 * @param {Python["unwelcome"]} unwelcome
 * @param {Python["execute"]} execute
 * @param {Python["look"]} look
 * @param {Python["resume"]} resume
 */
export function install(numbers, receive, unwelcome, execute, look, resume) {
  limits = JSON.parse(numbers);
  python = { receive, unwelcome, execute, look, resume };
}
