// Applies migrations to local D1 databases, with wrangler's own ledger.
//
//   node scripts/migrate.mjs [--state DIR]
//
// `wrangler d1 migrations apply --local` does the same to the same files, but takes seconds to
// find out that nothing is pending.

import { createHash, createHmac } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { ROOT, readBindings, readConfig } from "./config.mjs";
import { splitStatements } from "./sql.mjs";
import { startMiniflare } from "./start.mjs";

/** @typedef {{ folder: string, config: import("./config.mjs").Config }} Source */
/** @typedef {{ binding: string, id: string, migrations: string }} Database */

/** The namespace of the Durable Objects in which miniflare keeps D1 databases, one in each. */
const D1_NAMESPACE = "miniflare-D1DatabaseObject";

const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS "d1_migrations"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);`;

/**
 * The names of the migrations in a folder, in their order.
 * @param {string} folder
 */
function readNames(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort((a, b) => parseInt(a) - parseInt(b) || (a < b ? -1 : 1));
}

/**
 * Apply the pending files of `folder` in order, each with its ledger row in one transaction.
 * @param {any} database a D1 binding
 * @param {string} folder
 * @returns {Promise<string[]>} the names of the files applied now
 */
export async function applyMigrations(database, folder) {
  const names = readNames(folder);
  if (names.length === 0) return [];
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

/**
 * The D1 databases of a Worker.
 * @param {Source} source
 * @returns {Database[]}
 */
function databasesOf({ folder, config }) {
  const { d1Databases } = readBindings(config, {});
  return (config.d1_databases ?? []).map(
    (/** @type {Record<string, string>} */ { binding, migrations_dir }) => ({
      binding,
      id: d1Databases[binding].id,
      migrations: join(folder, migrations_dir ?? "migrations"),
    }),
  );
}

/**
 * The id of the Durable Object that holds a database, which its file is named after: the one that
 * workerd's `idFromName` derives.
 * @param {string} name
 */
function objectId(name) {
  const key = createHash("sha256").update(D1_NAMESPACE).digest();
  const hmac = (/** @type {string | Buffer} */ data) =>
    createHmac("sha256", key).update(data).digest().subarray(0, 16);
  const start = hmac(name);
  return Buffer.concat([start, hmac(start)]).toString("hex");
}

/**
 * True if a migration is missing in the database's ledger, which is read from its file.
 * @param {string} state
 * @param {Database} database
 */
function hasPending(state, { id, migrations }) {
  const names = readNames(migrations);
  if (names.length === 0) return false;
  const file = join(state, "v3", "d1", D1_NAMESPACE, `${objectId(id)}.sqlite`);
  try {
    using database = new DatabaseSync(file, { readOnly: true });
    const rows = database.prepare("SELECT name FROM d1_migrations").all();
    const applied = new Set(rows.map(({ name }) => name));
    return names.some((name) => !applied.has(name));
  } catch {
    // There is no file or no ledger yet. If it is anything else, D1 will report it.
    return true;
  }
}

/**
 * Bring the D1 databases of all Workers up to date, and say what was applied.
 *
 * Call this before the Workers are started. They would answer requests without their tables, and
 * could stop for ever: a call to a binding blocks Node until workerd answers, and workerd blocks
 * when it prints more than the pipe holds and Node does not read. So the migrations run in a
 * workerd without the Workers' code, on another port. None is started if nothing is pending.
 * @param {string} state
 * @param {Source[]} sources the folders of the Workers, with their configurations
 */
export async function migrateAll(state, sources) {
  if (!sources.flatMap(databasesOf).some((database) => hasPending(state, database))) return;
  const [first, ...beside] = sources.map(({ config }) => {
    const { name, compatibilityDate, d1Databases } = readBindings(config, {});
    const script = "export default { fetch: () => new Response(null, { status: 503 }) }";
    return { name, compatibilityDate, d1Databases, modules: true, script };
  });
  const miniflare = await startMiniflare(first, { port: 0, state, beside });
  try {
    await miniflare.ready;
    for (const source of sources) {
      for (const { binding, migrations } of databasesOf(source)) {
        const database = await miniflare.getD1Database(binding, source.config.name);
        for (const name of await applyMigrations(database, migrations)) {
          console.log(`Applied migration ${name}`);
        }
      }
    }
  } finally {
    await miniflare.dispose();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      state: {
        type: "string",
        default: process.env.FLOWFLARE_STATE || join(ROOT, ".flowflare", "state"),
      },
    },
  });
  try {
    await migrateAll(resolve(values.state), [{ folder: ROOT, config: readConfig() }]);
  } catch (error) {
    console.error(`Error: ${/** @type {Error} */ (error).message}`);
    process.exit(1);
  }
}
