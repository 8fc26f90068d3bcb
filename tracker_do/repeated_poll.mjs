// A round like the one before: where all groups are live, only the window differs, and there is
// nothing for Python to decide.

import { isOversized, runBatch } from "../resolvers/runtime/batches.mjs";
import { limits } from "./python.mjs";

/** Behind every event. */
const END = Number.MAX_SAFE_INTEGER;

/**
 * @typedef {import("../resolvers/runtime/commands.mjs").Statement} Statement
 * @typedef {import("./dispatcher.mjs").Round} Round
 *
 * @typedef {object} Again how a round is made again
 * @property {Statement} head of the log
 * @property {Read[]} reads one for each group
 * @property {number} window how many events they take at most
 * @property {boolean} light whether they are few, and select little of an event
 *
 * @typedef {[sql: string, parameters: any[], after: number[], to: number[]]} Read a statement, and
 *   at which of its parameters the window's beginning and end go
 */

/**
 * The same reads from the mark on, which stands where a write has found the log (see pokes.mjs).
 * @param {Again} again
 * @param {string[]} feeds of the groups
 * @returns {import("../resolvers/runtime/notifications.mjs").Prefetch["reads"]}
 */
export function fromMark({ reads }, feeds) {
  return reads.map((read, group) => {
    const [sql, parameters] = filled(null, END)(read);
    return [feeds[group], sql, parameters];
  });
}

/**
 * Read the next window for the groups of a round; throws where D1 fails.
 * @param {import("./dispatcher.mjs").Steady} steady
 * @param {number} position where the groups stand
 * @param {number} window
 * @param {import("../resolvers/runtime/commands.mjs").Execution} execution
 * @returns {Promise<Round | undefined>} undefined if a text was too long to be read like that
 */
export async function repeat(steady, position, window, execution) {
  const { head: headOfLog, reads, window: most } = steady.again;
  const taken = Math.min(window, most);
  const to = position + taken;
  const [[head], ...texts] = await runBatch(
    [headOfLog, ...reads.map(filled(position, to))],
    execution,
  );
  if (texts.some(isOversized)) return undefined;
  const reached = Math.min(to, Number(head));
  return {
    ...steady,
    refused: [],
    position: reached,
    window: Math.min(taken * 2, limits.roundEvents),
    more: reached < Number(head),
    moves: texts.map(([text], group) => [group, null, /** @type {number} */ (text)]),
  };
}

/**
 * @param {number | null} from null for the mark
 * @param {number} until
 * @returns {(read: Read) => Statement}
 */
const filled =
  (from, until) =>
  ([sql, parameters, after, to]) => {
    const values = [...parameters];
    for (const index of after) values[index] = from;
    for (const index of to) values[index] = until;
    return [sql, values, true];
  };
