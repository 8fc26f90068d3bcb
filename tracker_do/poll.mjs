// Polls by way of Python (see poll_json.py).

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
 * @property {number} window how many events to read for a group at most
 * @property {[plan: string, position: Position][]} groups
 * @property {Definitions} definitions of plans that were asked for
 *
 * @typedef {[group: number, position: Position, text: number | null]} Advance of a group: its new
 *   position, and the handle of the text to send; a text begins with its cursor (see plans.py)
 *
 * @typedef {object} Delivery the part of a poll result that is stored and sent
 * @property {number} livePosition
 * @property {Advance[]} advances
 * @property {[group: number, errors: unknown[]][]} refused
 * @property {string[]} keys of the groups' data in their results
 *
 * @typedef {object} Progress
 * @property {number} [window] of the next poll, if it differs
 * @property {boolean} more true if there is something to read already
 * @property {import("./repeated_poll.mjs").Template} [template] of the next poll, if it needs no Python
 *
 * @typedef {object} Failure
 * @property {string[]} [unknown] plans whose definitions are needed first
 * @property {boolean} [unregistered] true if there are no subscribers: writes do not notify the shard
 *   any more
 * @property {string} [failed] the failure; nothing was read
 *
 * @typedef {Delivery & Progress & Failure} PollResult
 */

/**
 * Poll, with the definitions of the plans that Python does not know.
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
    // Nothing is lost: all subscribers stay at their positions.
    return /** @type {any} */ ({ failed: String(error) });
  }
}
