// Runs batches of statements on D1.

import { env as bindings } from "cloudflare:workers";
import { isLonger } from "./json_text.mjs";
import { firstValue, write } from "./notifications.mjs";

/**
 * @typedef {[sql: string, parameters: (string | number | null)[], opaque: boolean]} Statement
 * @typedef {[text: unknown, changes: number, size?: number]} Outcome of a statement (see Outcome in
 *   ports/database.py)
 * @typedef {{ texts: (string | null)[], roundTrips: number, statements: number, rowsRead: number,
 *   rowsWritten: number }} Execution the texts of a task that stayed in JavaScript, and its cost
 * @typedef {{ textBytes: number, tooBig: string }} Settings the size of the longest text, and the
 *   message for a longer one
 */

/** @type {Record<string, any>} */
const env = bindings;

/** @type {Settings} */
let settings;

/** @param {Settings} newSettings */
export function configure(newSettings) {
  settings = newSettings;
}

/**
 * True for a text that its statement did not load because it is too long.
 * @param {Outcome} outcome
 */
export const isOversized = ([text, , size]) => text === null && Boolean(size);

/**
 * Run statements in one batch, which is one transaction.
 * @param {Statement[]} statements
 * @param {Execution} execution
 * @param {{ writes?: boolean }} [options] writes: notify subscribers of changes
 * @returns {Promise<Outcome[]>}
 */
export async function runBatch(statements, execution, { writes = false } = {}) {
  for (const [, parameters] of statements) parameters.forEach(refuseLongText);
  execution.roundTrips += 1;
  /** @type {D1Database} */
  const database = env.DB;
  const prepared = statements.map(([sql, parameters]) => database.prepare(sql).bind(...parameters));
  const { results, extra } = writes
    ? await write(database, prepared)
    : { results: await database.batch(prepared), extra: [] };
  execution.statements += results.length + extra.length;
  for (const { meta } of [...results, ...extra]) {
    execution.rowsRead += meta.rows_read;
    execution.rowsWritten += meta.rows_written;
  }
  return results.map((result, index) => {
    const { changes } = result.meta;
    const text = firstValue(result);
    refuseLongText(text);
    if (!statements[index][2]) return [text, changes];
    // A statement whose text is too long gives its size instead.
    if (typeof text === "number") return [null, changes, text];
    const handle = execution.texts.push(text) - 1;
    return text === null ? [null, changes, 0] : [handle, changes, text.length];
  });
}

/**
 * Refuse a text that D1 on Cloudflare's network refuses, with D1's message. workerd's own SQLite
 * accepts it, but what works in development must work there. (There a write whose result is too long
 * is rolled back; here it is not.)
 * @param {unknown} value
 */
function refuseLongText(value) {
  if (typeof value === "string" && isLonger(value, settings.textBytes)) {
    throw new Error(settings.tooBig);
  }
}
