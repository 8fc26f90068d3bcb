// Applies migrations to local D1 databases, with wrangler's own ledger.
//
//   node scripts/migrate.mjs [--state DIR]
//
// `wrangler d1 migrations apply --local` does the same to the same files, but takes seconds to
// find out that nothing is pending.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ROOT, readBindings, readConfig } from "./config.mjs";
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

/**
 * Bring every D1 database of a Worker up to date, and say what was applied.
 * @param {any} miniflare
 * @param {import("./config.mjs").Config} config
 * @param {string} [folder] where the configuration is
 */
export async function migrateAll(miniflare, config, folder = ROOT) {
  for (const { binding, migrations_dir } of config.d1_databases ?? []) {
    const database = await miniflare.getD1Database(binding, config.name);
    const migrations = join(folder, migrations_dir ?? "migrations");
    for (const name of await applyMigrations(database, migrations)) {
      console.log(`Applied migration ${name}`);
    }
  }
}

/**
 * Migrate without starting the Worker: before `wrangler dev`, say.
 * @param {string} state
 */
async function main(state) {
  const { Log, LogLevel, Miniflare, convertV4MiniflareOptions } = await import("miniflare");
  const config = readConfig();
  const { name, compatibilityDate, d1Databases } = readBindings(config, {});
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new Log(LogLevel.WARN),
      port: 0,
      cf: false,
      resourcePersistencePath: join(state, "v3"),
      workers: [
        {
          ...{ name, compatibilityDate, d1Databases },
          modules: true,
          script: "export default { fetch: () => new Response() }",
        },
      ],
    }),
  );
  try {
    await migrateAll(miniflare, config);
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
    await main(resolve(values.state));
  } catch (error) {
    console.error(`Error: ${/** @type {Error} */ (error).message}`);
    process.exit(1);
  }
}
