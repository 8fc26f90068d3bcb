// D1 for modules that run in Node: its binding in real SQLite, with a small log to read from.

import { DatabaseSync } from "node:sqlite";

export class SqliteD1 {
  database = new DatabaseSync(":memory:");
  /** @type {string[][]} the statements of each batch */
  batches = [];
  /** @type {string | undefined} makes batches fail with this message */
  failure;

  constructor() {
    this.database.exec("CREATE TABLE events (id INTEGER PRIMARY KEY, data TEXT NOT NULL)");
  }

  /**
   * Append events to the log.
   * @param {string[]} data
   */
  append(...data) {
    for (const text of data) {
      this.database.prepare("INSERT INTO events (data) VALUES (?)").run(text);
    }
  }

  /** @param {string} sql */
  prepare(sql) {
    return { sql, values: [], bind: (/** @type {any[]} */ ...values) => ({ sql, values }) };
  }

  /** @param {{ sql: string, values: any[] }[]} statements */
  async batch(statements) {
    this.batches.push(statements.map(({ sql }) => sql));
    if (this.failure !== undefined) throw new Error(this.failure);
    const meta = { changes: 0, rows_read: 0, rows_written: 0 };
    return statements.map(({ sql, values }) => ({
      results: this.database.prepare(sql).all(...values),
      meta,
    }));
  }
}

/** The head of the log, as in the templates of polls. */
export const HEAD = /** @type {[string, any[], boolean]} */ ([
  "SELECT coalesce(max(id), 0) FROM events",
  [],
  false,
]);

/**
 * A read of a window, as in the templates of polls: the events whose data begins with a prefix.
 * @param {string} prefix
 * @param {number} [maxBytes]
 */
export function readOf(prefix, maxBytes = 1000) {
  const text = "format('%016d', max(id)) || json_group_array(data)";
  const sql = `SELECT iif(length(${text}) <= ?4, ${text}, length(${text})) FROM events
    WHERE id > ?1 AND id <= ?2 AND data LIKE ?3 HAVING count(*) > 0`;
  return /** @type {[string, any[], number[], number[]]} */ ([
    sql,
    [0, 0, `${prefix}%`, maxBytes],
    [0],
    [1],
  ]);
}
