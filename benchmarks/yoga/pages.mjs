// Keyset pages of instances, newest first.

import { GraphQLError } from "graphql";
import { INSTANCE } from "./rows.mjs";

/** @typedef {import("./rows.mjs").Row} Row */
/** @typedef {import("./worker.mjs").Context} Context */

const CURSOR = /^C(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z),(\d{1,15})$/;

/**
 * Query a connection. It reads one row more than requested, to see if there is a next page.
 * @param {Context} context
 * @param {{ first?: number | null, after?: string | null }} page
 * @param {{ refType: string, refId: string }} [reference]
 */
export async function instancePage(context, page, reference) {
  const first = page.first ?? 20;
  if (first < 0 || first > 100) throw invalid("first: must be from 0 to 100");
  const conditions = [];
  /** @type {(string | number)[]} */
  const values = [];
  if (reference) {
    conditions.push("ref_type = ? AND ref_id = ?");
    values.push(reference.refType, reference.refId);
  }
  if (page.after != null) {
    const match = CURSOR.exec(page.after);
    if (!match) throw invalid("after: must be a cursor of this list in this order");
    conditions.push("(created_at, id) < (?, ?)");
    values.push(match[1], Number(match[2]));
  }
  const where = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
  const sql = `SELECT ${INSTANCE} FROM instances ${where}
    ORDER BY created_at DESC, id DESC LIMIT ?`;
  const { results } = await context.env.DB.prepare(sql)
    .bind(...values, first + 1)
    .all();
  const nodes = results.slice(0, first);
  return {
    nodes,
    edges: () => nodes.map((node) => ({ node, cursor: cursorOf(node) })),
    pageInfo: {
      hasNextPage: results.length > first,
      hasPreviousPage: () => page.after != null && existsBefore(context, page.after, reference),
      startCursor: nodes.length > 0 ? cursorOf(nodes[0]) : null,
      endCursor: nodes.length > 0 ? cursorOf(nodes[nodes.length - 1]) : null,
    },
  };
}

/** @param {Row} row */
const cursorOf = (row) => `C${row.createdAt},${row.row}`;

/**
 * @param {Context} context
 * @param {string} cursor
 * @param {{ refType: string, refId: string }} [reference]
 */
async function existsBefore(context, cursor, reference) {
  const [, createdAt, row] = /** @type {RegExpExecArray} */ (CURSOR.exec(cursor));
  const where = reference ? "ref_type = ? AND ref_id = ? AND" : "";
  const sql = `SELECT 1 FROM instances WHERE ${where} (created_at, id) >= (?, ?) LIMIT 1`;
  const values = reference ? [reference.refType, reference.refId] : [];
  const found = await context.env.DB.prepare(sql)
    .bind(...values, createdAt, Number(row))
    .first();
  return found !== null;
}

/** @param {string} message */
const invalid = (message) =>
  new GraphQLError(message, { extensions: { code: "INVALID_ARGUMENT", http: { status: 400 } } });
