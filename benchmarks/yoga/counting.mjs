// Counts the use of D1 by a request, for requests that are compared but not timed.

/** @typedef {import("./rows.mjs").Database} Database */

/**
 * Wrap a database to count its use.
 * @param {Database} database
 * @returns {{ database: Database, headers: () => Record<string, string> }} the wrapped database, and
 *   the counts as headers with the names of Flowflare's own
 */
export function countUse(database) {
  const counts = { roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
  const count = (/** @type {any[]} */ results) => {
    counts.roundTrips += 1;
    for (const { meta } of results) {
      counts.rowsRead += meta.rows_read;
      counts.rowsWritten += meta.rows_written;
    }
  };
  const wrap = (/** @type {any} */ statement) => ({
    statement,
    bind: (/** @type {any[]} */ ...values) => wrap(statement.bind(...values)),
    async all() {
      const result = await statement.all();
      count([result]);
      return result;
    },
    async first() {
      return (await this.all()).results[0] ?? null;
    },
  });
  const counted = {
    prepare: (/** @type {string} */ sql) => wrap(database.prepare(sql)),
    async batch(/** @type {any[]} */ statements) {
      const results = await database.batch(statements.map(({ statement }) => statement));
      count(results);
      return results;
    },
  };
  return {
    database: /** @type {any} */ (counted),
    headers: () => ({
      "d1-round-trips": String(counts.roundTrips),
      "d1-rows-read": String(counts.rowsRead),
      "d1-rows-written": String(counts.rowsWritten),
    }),
  };
}
