// The servers of the measured requests, each with its own miniflare and database.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../scripts/config.mjs";
import { applyMigrations } from "../scripts/migrate.mjs";
import { startMiniflare } from "../scripts/start.mjs";
import { Client } from "./client.mjs";
import { seed } from "./seed.mjs";
import { KEY, bundle, stagedWorker } from "./workers.mjs";

/** @typedef {"ours" | "yoga" | "floor"} SideName */

/** @type {Record<SideName, () => Promise<any>>} */
const WORKERS = {
  ours: async () => stagedWorker(),
  yoga: () => peer("benchmarks/yoga/worker.mjs"),
  floor: () => peer("benchmarks/floor/worker.mjs"),
};

/** @param {string} entry */
async function peer(entry) {
  return { ...(await bundle(entry)), d1Databases: { DB: { id: "DB" } } };
}

/** @param {unknown} name @returns {name is SideName} */
export const isSide = (name) => typeof name === "string" && Object.hasOwn(WORKERS, name);

/** A server that is migrated, seeded and ready. */
export class Side {
  /** The number of requests sent, by operation. */
  #sent = new Map();

  /**
   * @param {SideName} name
   * @param {any} miniflare
   * @param {Client} client
   * @param {string} folder
   */
  constructor(name, miniflare, client, folder) {
    this.name = name;
    this.miniflare = miniflare;
    this.client = client;
    this.folder = folder;
  }

  /** @param {SideName} name */
  static async start(name) {
    const folder = await mkdtemp(join(tmpdir(), `flowflare-benchmark-${name}-`));
    const miniflare = await startMiniflare(await WORKERS[name](), { port: 0, state: folder });
    try {
      const url = await miniflare.ready;
      const database = await miniflare.getD1Database("DB");
      await applyMigrations(database, join(ROOT, "migrations"));
      await seed(database);
      return new Side(name, miniflare, new Client(url, KEY), folder);
    } catch (error) {
      await miniflare.dispose().catch(() => {});
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Create the body of the next request of an operation. The sequence is the same on every side.
   * @param {import("./operations.mjs").Operation} operation
   */
  nextBody({ document, operationName, variables }) {
    const n = this.#sent.get(operationName) ?? 0;
    this.#sent.set(operationName, n + 1);
    return JSON.stringify({ query: document, operationName, variables: variables(n) });
  }

  async stop() {
    this.client.close();
    await this.miniflare.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }
}
