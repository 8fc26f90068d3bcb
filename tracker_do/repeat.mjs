// A round like the one before: where all groups are live, only the window differs, and there is
// nothing for Python to decide.

import { read } from "../resolvers/effects.mjs";
import { limits } from "./python.mjs";

/**
 * @typedef {import("../resolvers/effects.mjs").Statement} Statement
 * @typedef {import("./pump.mjs").Round} Round
 *
 * @typedef {object} Again how a round is made again
 * @property {Statement} head of the log
 * @property {Read[]} reads one for each group
 * @property {number} window how many events they take at most
 *
 * @typedef {[sql: string, parameters: any[], after: number[], to: number[]]} Read a statement, and
 *   at which of its parameters the window's beginning and end go
 */

/**
 * Read the next window for the groups of `round`; throws where D1 fails.
 * @param {Round} round
 * @param {number} position where the groups stand
 * @param {number} window
 * @param {import("../resolvers/effects.mjs").Kept} kept
 * @returns {Promise<Round>}
 */
export async function repeat(round, position, window, kept) {
  const { head: headOfLog, reads, window: most } = /** @type {Again} */ (round.again);
  const taken = Math.min(window, most);
  const to = position + taken;
  const [[head], ...texts] = await read([headOfLog, ...reads.map(filled(position, to))], kept);
  const reached = Math.min(to, Number(head));
  return {
    ...round,
    position: reached,
    window: Math.min(taken * 2, limits.roundEvents),
    more: reached < Number(head),
    moves: texts.map(([text], group) => [group, null, reached, /** @type {number} */ (text)]),
  };
}

/**
 * @param {number} from
 * @param {number} until
 * @returns {(read: Read) => Statement}
 */
const filled = (from, until) => ([sql, parameters, after, to]) => {
  const values = [...parameters];
  for (const index of after) values[index] = from;
  for (const index of to) values[index] = until;
  return [sql, values, true];
};
