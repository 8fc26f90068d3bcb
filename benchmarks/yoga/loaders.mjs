// A DataLoader for each relation, which combines the keys of a request in one D1 query.

import DataLoader from "dataloader";
import { ATTEMPT, INSTANCE, STEP, WORKFLOW } from "./rows.mjs";

/** @typedef {import("./rows.mjs").Database} Database */
/** @typedef {import("./rows.mjs").Row} Row */
/** @typedef {ReturnType<typeof createLoaders>} Loaders */

const KEYS = "(SELECT value FROM json_each(?))";
const STEPS_OF_CURRENT_RUN = `SELECT ${STEP} FROM steps
  WHERE (instance, run) IN (SELECT id, run FROM instances WHERE id IN ${KEYS})`;

/**
 * Create the loaders for a request.
 * @param {Database} db
 */
export function createLoaders(db) {
  return {
    instances: one(db, `SELECT ${INSTANCE} FROM instances WHERE id IN ${KEYS}`, "row"),
    workflows: one(db, `SELECT ${WORKFLOW} FROM workflows WHERE name IN ${KEYS}`, "name"),
    steps: many(db, STEPS_OF_CURRENT_RUN, "instanceRow", "step_index"),
    attempts: many(
      db,
      `SELECT ${ATTEMPT} FROM attempts WHERE step IN ${KEYS}`,
      "stepRow",
      "number",
    ),
  };
}

/**
 * Create a loader for one row per key.
 * @param {Database} db
 * @param {string} select the rows of KEYS
 * @param {string} key the column with the key
 * @returns {DataLoader<string | number, Row | undefined>}
 */
function one(db, select, key) {
  return new DataLoader(async (keys) => {
    const rows = await load(db, select, keys);
    const byKey = new Map(rows.map((row) => [row[key], row]));
    return keys.map((value) => byKey.get(value));
  });
}

/**
 * Create a loader for all rows of each key, sorted by a column.
 * @param {Database} db
 * @param {string} select the rows of KEYS
 * @param {string} key the column with the key
 * @param {string} order
 * @returns {DataLoader<number, Row[]>}
 */
function many(db, select, key, order) {
  const sql = `${select} ORDER BY ${order}`;
  return new DataLoader(async (keys) => {
    /** @type {Map<number, Row[]>} */
    const byKey = new Map(keys.map((value) => [value, []]));
    for (const row of await load(db, sql, keys)) byKey.get(row[key])?.push(row);
    return keys.map((value) => byKey.get(value) ?? []);
  });
}

/**
 * @param {Database} db
 * @param {string} sql
 * @param {readonly unknown[]} keys
 * @returns {Promise<Row[]>}
 */
async function load(db, sql, keys) {
  const { results } = await db.prepare(sql).bind(JSON.stringify(keys)).all();
  return results;
}
