// What follows a write: the shards of the tracker that have subscribers are poked. What a shard
// would read then may be read in the batch of the write, and come with the poke: that saves the
// round trip between the write and the first frame.

import { env as bindings, waitUntil } from "cloudflare:workers";

/**
 * What a shard wants to have read with the next write. One write takes it: those that are made
 * until its poke is answered bring nothing along, and the shard reads for them together.
 * @typedef {object} Offer
 * @property {string} id
 * @property {[feed: string, sql: string, parameters: unknown[]][]} reads from the mark on
 *
 * @typedef {object} Carried what was read with a write
 * @property {string} id of the offer
 * @property {number} from where the log stood before the write
 * @property {number} to and behind it
 * @property {Record<string, string | null>} texts by feed
 */

/** @type {Record<string, any>} */
const env = bindings;

/**
 * @typedef {{ head: string, ofRead: string }} Settings SQL of the head of the log, and the pattern of
 *   failures of a read (see foreign_errors.py)
 */
let mark = "";
let watching = "";
let ofRead = /^$/;
/** A write of more statements writes too many events to wait until they have been read as well. */
const MAX_CARRYING_STATEMENTS = 20;
/** A longer text may be one that D1 refuses, which the shard's own round sees to. */
const MAX_CARRIED_LENGTH = 500_000;

/** @type {Map<string, Offer>} by shard */
const offers = new Map();

/** @param {Settings} given */
export function configure(given) {
  mark = `UPDATE trackers SET marked=${given.head}`;
  watching = `SELECT json_group_array(json_array(shard,marked,${given.head})) FROM trackers`;
  ofRead = new RegExp(given.ofRead);
}

/**
 * Run a write, and poke the shards that have subscribers if it changed anything.
 * @param {D1Database} database
 * @param {D1PreparedStatement[]} statements
 * @returns {Promise<{ results: D1Result[], beside: D1Result[] }>} of the statements, and of what
 *   went along
 */
export async function write(database, statements) {
  const taken = new Map(statements.length > MAX_CARRYING_STATEMENTS ? [] : offers);
  for (const shard of taken.keys()) offers.delete(shard);
  const { results, beside, texts } = await run(database, statements, readsOf(taken.values()));
  const changed = results.some(({ meta }) => meta.changes > 0);
  for (const [shard, from, to] of JSON.parse(firstValue(beside.at(-1)))) {
    const offer = taken.get(shard);
    if (changed) waitUntil(poke(shard, offer && texts && { id: offer.id, from, to, texts }));
    else if (offer) offers.set(shard, offer);
  }
  return { results, beside };
}

/**
 * The first column of the first row; null where there is none.
 * @param {D1Result | undefined} result
 * @returns {any}
 */
export function firstValue(result) {
  const row = result?.results[0];
  return row === undefined ? null : Object.values(/** @type {any} */ (row))[0];
}

/**
 * Make a shard look at the log; what it does not hear of, it finds out later.
 * @param {string} shard
 * @param {Carried} [carried]
 */
async function poke(shard, carried) {
  try {
    // As text: on its way through the SDK an object becomes Python's.
    const tracker = env.TRACKER.get(env.TRACKER.idFromName(shard));
    const offer = await tracker.poke(carried && JSON.stringify(carried));
    if (offer) offers.set(shard, JSON.parse(offer));
  } catch (error) {
    console.warn(`Tracker ${shard} was not reached: ${error}`);
  }
}

/** @param {Iterable<Offer>} taken */
function readsOf(taken) {
  return new Map(
    [...taken].flatMap(({ reads }) => reads.map(([feed, ...statement]) => [feed, statement])),
  );
}

/**
 * Run the write, and the reads in the same transaction.
 * @param {D1Database} database
 * @param {D1PreparedStatement[]} statements
 * @param {Map<string, [sql: string, parameters: unknown[]]>} reads by feed
 * @returns {Promise<{ results: D1Result[], beside: D1Result[],
 *   texts?: Record<string, string | null> }>}
 */
async function run(database, statements, reads) {
  const watched = database.prepare(watching);
  if (reads.size === 0) {
    const all = await database.batch([...statements, watched]);
    return { results: all.slice(0, -1), beside: all.slice(-1) };
  }
  const along = Array.from(reads.values(), ([sql, parameters]) =>
    database.prepare(sql).bind(...parameters),
  );
  let all;
  try {
    all = await database.batch([database.prepare(mark), ...statements, ...along, watched]);
  } catch (error) {
    // A read that fails undoes the write, which is to be made all the same.
    if (!ofRead.test(String(error))) throw error;
    return run(database, statements, new Map());
  }
  const [marked, ...rest] = all;
  const results = rest.splice(0, statements.length);
  const found = [...reads.keys()].map((feed, index) => [feed, firstValue(rest[index])]);
  // A number is the size of a text that was too long to be read.
  const short = found.every(
    ([, text]) => text === null || (text.length ?? Infinity) <= MAX_CARRIED_LENGTH,
  );
  return {
    results,
    beside: [marked, ...rest],
    texts: short ? Object.fromEntries(found) : undefined,
  };
}
