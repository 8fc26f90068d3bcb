// Polls that Python plans (see poll_json.py).

import { runTask } from "../resolvers/runtime/commands.mjs";
import { python } from "./python.mjs";

/**
 * @typedef {import("./connection_state.mjs").Position} Position
 * @typedef {import("./subscribers.mjs").Group} Group
 * @typedef {import("../resolvers/runtime/commands.mjs").Execution} Execution
 *
 * @typedef {Record<string, [document: string, rest: string]>} Definitions by the plans' digests
 *
 * @typedef {object} PollRequest
 * @property {string} shard
 * @property {boolean} registered true if writes notify the shard
 * @property {number} livePosition
 * @property {number} window the number of events to read for a group at most
 * @property {[plan: string, position: Position][]} groups
 * @property {Definitions} definitions of the plans that Python has asked for
 *
 * @typedef {[group: number, position: Position, text: number | null]} Advance the new position of a
 *   group, and the handle of the text to send, which begins with a cursor (see plans.py)
 *
 * @typedef {object} Delivery the part of a poll result that is stored and sent
 * @property {number} livePosition
 * @property {Advance[]} advances
 * @property {[group: number, errors: unknown[]][]} refused
 * @property {string[]} keys of the root fields, by group
 *
 * @typedef {object} Progress
 * @property {number} [window] of the next poll, if it differs
 * @property {boolean} more true if there is something to read already
 * @property {import("./repeated_poll.mjs").Template} [template] of the next poll, if it needs no Python
 *
 * @typedef {object} Failure
 * @property {string[]} [unknown] plans whose definitions Python needs first
 * @property {boolean} [unregistered] true if writes do not notify the shard any more, as it has no
 *   subscribers
 * @property {string} [failed] the error, if nothing was read
 *
 * @typedef {Delivery & Progress & Failure} PollResult
 */

/**
 * Have Python poll, and supply the definitions of plans that it does not know.
 * @param {PollRequest} request
 * @param {(plans: string[]) => Definitions} findDefinitions
 * @param {Execution} execution
 * @returns {Promise<PollResult>}
 */
export async function poll(request, findDefinitions, execution) {
  const begin = () => python.poll(JSON.stringify(request));
  const run = () => runTask({ begin, resume: python.resume }, execution);
  try {
    let result = await run();
    while (result.unknown) {
      Object.assign(request.definitions, findDefinitions(result.unknown));
      result = await run();
    }
    return result;
  } catch (error) {
    // Nothing is lost, since all subscribers stay at their positions.
    return /** @type {any} */ ({ failed: String(error) });
  }
}
