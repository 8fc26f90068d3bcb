// Counts what a request costs in D1, when the harness asks: it does so outside the timed requests.

/** @typedef {import("./rows.mjs").Database} Database */

/**
 * The database, and the headers that tell what it was asked; as Flowflare's own are named.
 * @param {Database} database
 * @returns {{ database: Database, headers: () => Record<string, string> }}
 */
export function counting(database) {
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
