// Applies migrations to a local D1 database, with wrangler's own ledger.
//
// `wrangler d1 migrations apply --local` does the same to the same file, but takes seconds to
// find out that nothing is pending.

import { readdirSync, readFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { splitStatements } from "./sql.mjs";

const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS "d1_migrations"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);`;

/**
 * Apply the pending files of `folder` in order, each with its ledger row in one transaction.
 * @param {any} database a D1 binding
 * @param {string} folder
 * @returns {Promise<string[]>} the names of the files applied now
 */
export async function applyMigrations(database, folder) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort((a, b) => parseInt(a) - parseInt(b) || (a < b ? -1 : 1));
  await database.prepare(CREATE_LEDGER).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
  const applied = new Set(results.map((/** @type {{name: string}} */ row) => row.name));
  const pending = names.filter((name) => !applied.has(name));
  for (const name of pending) {
    const statements = splitStatements(readFileSync(join(folder, name), "utf8"));
    const ledger = database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    try {
      await database.batch([
        ...statements.map((/** @type {string} */ sql) => database.prepare(sql)),
        ledger,
      ]);
    } catch (error) {
      throw new Error(`Migration ${name} failed: ${/** @type {Error} */ (error).message}`);
    }
  }
  return pending;
}
