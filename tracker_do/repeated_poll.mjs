// Polls from a template. While all groups are live and the same, polls differ only in their windows, so
// Python need not plan them.

import { isOversized, runBatch } from "../resolvers/runtime/batches.mjs";
import { limits } from "./python.mjs";

/**
 * @typedef {import("../resolvers/runtime/commands.mjs").Statement} Statement
 * @typedef {import("./poll.mjs").PollResult} PollResult
 *
 * @typedef {object} Template of a poll (see `template_of` in poll_json.py)
 * @property {Statement} head reads the head of the log
 * @property {Read[]} reads one for each group
 * @property {number} window the number of events that they read at most
 * @property {boolean} isPrefetchable true if the next write may run the reads
 *
 * @typedef {[sql: string, parameters: any[], after: number[], to: number[]]} Read a statement, and the
 *   indexes of the parameters for the window's beginning and end
 *
 * @typedef {object} RepeatablePoll
 * @property {Template} template
 * @property {string} version of the subscribers at that poll
 * @property {string[]} plans of its groups
 * @property {string[]} keys
 */

/**
 * The reads for a prefetch. They begin at the head that the write stores (see notifications.mjs).
 * @param {RepeatablePoll} poll
 * @returns {import("../resolvers/runtime/notifications.mjs").Prefetch["reads"]}
 */
export function prefetchReads({ template, plans }) {
  return template.reads.map((read, group) => {
    const [sql, parameters] = filled(null, limits.maxPosition)(read);
    return [plans[group], sql, parameters];
  });
}

/**
 * Read the next window for the groups of a poll. Throws if D1 fails.
 * @param {RepeatablePoll} poll
 * @param {number} livePosition
 * @param {import("../resolvers/runtime/commands.mjs").Execution} execution
 * @returns {Promise<PollResult | undefined>} undefined if a text was longer than its share of the batch
 */
export async function repeat({ template, keys }, livePosition, execution) {
  const to = livePosition + template.window;
  const reads = template.reads.map(filled(livePosition, to));
  const [[headText], ...texts] = await runBatch([template.head, ...reads], execution);
  if (texts.some(isOversized)) return undefined;
  const head = Number(headText);
  const reached = Math.min(to, head);
  return {
    livePosition: reached,
    advances: texts.map(([text], group) => [group, null, /** @type {number} */ (text)]),
    refused: [],
    keys,
    more: reached < head,
  };
}

/**
 * @param {number | null} from null for the head that a write stores
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
