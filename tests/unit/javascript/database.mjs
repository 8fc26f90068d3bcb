// Stands in for D1: runs each batch with a function of the test, and records the batches.

/**
 * @typedef {{ sql: string, parameters: unknown[] }} Prepared
 * @typedef {{ results: Record<string, unknown>[], meta: Record<string, number> }} Result
 */

/**
 * The result of a statement.
 * @param {unknown} [value] of its first column; undefined for no row
 * @param {number} [changes]
 * @returns {Result}
 */
export const row = (value, changes = 0) => ({
  results: value === undefined ? [] : [{ value }],
  meta: { changes, rows_read: 2, rows_written: changes },
});

/** @param {(batch: Prepared[], index: number) => Result[]} run throws if the batch fails */
export function newDatabase(run) {
  /** @type {string[][]} the SQL of each batch */
  const batches = [];
  return {
    batches,
    prepare: (/** @type {string} */ sql) => ({
      sql,
      /** @type {unknown[]} */
      parameters: [],
      bind: (/** @type {unknown[]} */ ...parameters) => ({ sql, parameters }),
    }),
    async batch(/** @type {Prepared[]} */ statements) {
      batches.push(statements.map(({ sql }) => sql));
      return run(statements, batches.length - 1);
    },
  };
}
