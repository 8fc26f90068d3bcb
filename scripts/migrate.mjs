// Applies migrations to local D1 databases, and records them in wrangler's own ledger table.
//
//   node scripts/migrate.mjs [--state DIR]
//
// `wrangler d1 migrations apply --local` does the same, but needs seconds to find that no
// migration is pending.

import { createHash, createHmac } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { ROOT, readBindings, readConfig } from "./config.mjs";
import { splitStatements } from "./sql.mjs";
import { DEFAULT_STATE, startMiniflare } from "./start.mjs";

/** @typedef {{ folder: string, config: import("./config.mjs").Config }} Source */
/** @typedef {{ binding: string, id: string, migrations: string }} Database */

/** The namespace of the Durable Objects in which miniflare stores D1 databases, one in each. */
const D1_NAMESPACE = "miniflare-D1DatabaseObject";

const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS "d1_migrations"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);`;

/**
 * List the migrations in a folder, in order.
 * @param {string} folder
 */
function readNames(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort((a, b) => parseInt(a) - parseInt(b) || (a < b ? -1 : 1));
}

/**
 * Apply the pending migrations of `folder` in order, each with its ledger row in one transaction.
 * @param {any} database a D1 binding
 * @param {string} folder
 * @returns {Promise<string[]>} the names of the files applied
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
 * List the D1 databases of a Worker.
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
 * Derive the id of the Durable Object that contains a database, as workerd's `idFromName` does.
 * The database's file is named after it.
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
 * Read the names in the ledger from the database's file.
 * @param {string} state
 * @param {Database} database
 * @returns {string[]}
 */
function readLedger(state, { id }) {
  const file = join(state, "v3", "d1", D1_NAMESPACE, `${objectId(id)}.sqlite`);
  try {
    using database = new DatabaseSync(file, { readOnly: true });
    return database
      .prepare("SELECT name FROM d1_migrations")
      .all()
      .map(({ name }) => String(name));
  } catch {
    // There is no file or no ledger yet. D1 reports any other fault.
    return [];
  }
}

/**
 * True if a migration is missing from the ledger. Throws an Error if the ledger lists a migration
 * that has no file: the tables are then those of another version.
 * @param {string} state
 * @param {Database} database
 */
function hasPending(state, database) {
  const names = readNames(database.migrations);
  if (names.length === 0) return false;
  const applied = readLedger(state, database);
  const unknown = applied.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(
      `The database in ${state} was made by another version of the project (it has the migration` +
        ` ${unknown}, for which there is no file); delete that folder, or set FLOWFLARE_STATE to` +
        " another one, to start with an empty database.",
    );
  }
  return names.some((name) => !applied.includes(name));
}

/**
 * Apply the pending migrations of all Workers, and print their names. Throws an Error before any is
 * applied if a database has migrations of another version.
 *
 * Call this before the Workers are started. Otherwise they would answer requests without their
 * tables, and could deadlock: a call to a binding blocks Node until workerd answers, and workerd
 * blocks if it prints more than fits in the pipe while Node does not read. So the migrations run in
 * a workerd without the Workers' code, on another port. If none is pending, no workerd is started.
 * @param {string} state
 * @param {Source[]} sources the folders of the Workers, with their configurations
 */
export async function migrateAll(state, sources) {
  const databases = sources.flatMap(databasesOf);
  const pending = databases.filter((database) => hasPending(state, database));
  if (pending.length === 0) return;
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
    options: { state: { type: "string", default: DEFAULT_STATE } },
  });
  try {
    await migrateAll(resolve(values.state), [{ folder: ROOT, config: readConfig() }]);
  } catch (error) {
    console.error(`Error: ${/** @type {Error} */ (error).message}`);
    process.exit(1);
  }
}
