// Notifies the shards of the tracker that have subscribers after a write. With a prefetch, the
// statements of a shard's next poll run in the batch of the write, and the notification brings their
// texts. That saves the round trip between the write and the first frame.

import { env as bindings, waitUntil } from "cloudflare:workers";

/**
 * The statements that a shard asks the next write to run. Only one write takes them: writes that are
 * made before its notification is answered prefetch nothing, and the shard polls once for all.
 * @typedef {object} Prefetch
 * @property {string} id
 * @property {[plan: string, sql: string, parameters: unknown[]][]} reads from the position before the
 *   write on
 *
 * @typedef {object} Prefetched the texts that a write has read for a shard
 * @property {string} id of the prefetch
 * @property {number} from the head of the log before the write
 * @property {number} to the head of the log after it
 * @property {Record<string, string | null>} texts by subscription plan
 *
 * @typedef {object} Settings
 * @property {string} storeHead SQL that stores the head of the log before a write
 * @property {string} selectShards SQL of the shards that have subscribers: [shard, stored head, head]
 * @property {string} readFailed pattern of the failures that a read may cause (see foreign_errors.py)
 * @property {number} writeStatements the most statements of a write that prefetches
 * @property {number} characters of the longest text that is prefetched
 */

/** @type {Record<string, any>} */
const env = bindings;

/** @type {Settings} */
let settings;
let readFailed = /^$/;

/** @type {Map<string, Prefetch>} by shard */
const prefetches = new Map();

/** @param {Settings} newSettings */
export function configure(newSettings) {
  settings = newSettings;
  readFailed = new RegExp(settings.readFailed);
}

/**
 * Run a write, and notify the shards that have subscribers if it changed anything.
 * @param {D1Database} database
 * @param {D1PreparedStatement[]} statements
 * @returns {Promise<{ results: D1Result[], extra: D1Result[] }>} of the statements, and of those that
 *   were added to them
 */
export async function write(database, statements) {
  const taken = new Map(statements.length > settings.writeStatements ? [] : prefetches);
  for (const shard of taken.keys()) prefetches.delete(shard);
  const { results, extra, texts } = await run(database, statements, readsOf(taken.values()));
  const hasChanged = results.some(({ meta }) => meta.changes > 0);
  for (const [shard, from, to] of JSON.parse(firstValue(extra.at(-1)))) {
    const prefetch = taken.get(shard);
    if (hasChanged) {
      waitUntil(notify(shard, prefetch && texts && { id: prefetch.id, from, to, texts }));
    } else if (prefetch) prefetches.set(shard, prefetch);
  }
  return { results, extra };
}

/**
 * The first column of the first row; null if there is no row.
 * @param {D1Result | undefined} result
 * @returns {any}
 */
export function firstValue(result) {
  const row = result?.results[0];
  return row === undefined ? null : Object.values(/** @type {any} */ (row))[0];
}

/**
 * Notify a shard that the log has grown. A shard that cannot be reached polls again later.
 * @param {string} shard
 * @param {Prefetched} [prefetched]
 */
async function notify(shard, prefetched) {
  try {
    const tracker = env.TRACKER.get(env.TRACKER.idFromName(shard));
    // As text: the SDK would make a Python object of an object.
    const prefetch = await tracker.notify(prefetched && JSON.stringify(prefetched));
    if (prefetch) prefetches.set(shard, JSON.parse(prefetch));
  } catch (error) {
    console.warn(`Tracker ${shard} was not reached: ${error}`);
  }
}

/** @param {Iterable<Prefetch>} taken */
function readsOf(taken) {
  return new Map(
    [...taken].flatMap(({ reads }) => reads.map(([plan, ...statement]) => [plan, statement])),
  );
}

/**
 * Run a write, and reads in the same transaction.
 * @param {D1Database} database
 * @param {D1PreparedStatement[]} statements
 * @param {Map<string, [sql: string, parameters: unknown[]]>} reads by subscription plan
 * @returns {Promise<{ results: D1Result[], extra: D1Result[],
 *   texts?: Record<string, string | null> }>}
 */
async function run(database, statements, reads) {
  const shards = database.prepare(settings.selectShards);
  if (reads.size === 0) {
    const all = await database.batch([...statements, shards]);
    return { results: all.slice(0, -1), extra: all.slice(-1) };
  }
  const added = Array.from(reads.values(), ([sql, parameters]) =>
    database.prepare(sql).bind(...parameters),
  );
  let all;
  try {
    all = await database.batch([
      database.prepare(settings.storeHead),
      ...statements,
      ...added,
      shards,
    ]);
  } catch (error) {
    // A read that fails undoes the write, so the write is made again without the reads.
    if (!readFailed.test(String(error))) throw error;
    return run(database, statements, new Map());
  }
  const [stored, ...rest] = all;
  const results = rest.splice(0, statements.length);
  const found = [...reads.keys()].map((plan, index) => [plan, firstValue(rest[index])]);
  // A number is the size of a text that was too long to be read.
  const areShort = found.every(
    ([, text]) => text === null || (text.length ?? Infinity) <= settings.characters,
  );
  return {
    results,
    extra: [stored, ...rest],
    texts: areShort ? Object.fromEntries(found) : undefined,
  };
}
