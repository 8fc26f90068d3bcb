// The servers of the fan-out, each in a miniflare of its own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/config.mjs";
import { applyMigrations } from "../../scripts/migrate.mjs";
import { startMiniflare } from "../../scripts/start.mjs";
import { Client } from "../client.mjs";
import { WrongAnswer } from "../measure.mjs";
import { seed } from "../seed.mjs";
import { KEY, bundle, stagedWorker } from "../workers.mjs";
import { mutation, readyFrame } from "./documents.mjs";
import { BATCH, INSTANCES, REFERENCE, WORKFLOW, instanceIdOf, updateOf } from "./events.mjs";
import { workerdProcesses } from "./processes.mjs";

/** @typedef {"ours" | "tracker" | "gws" | "floor"} ServerName */

/**
 * @typedef {object} Definition
 * @property {() => Promise<any>} worker for miniflare
 * @property {() => any[]} [beside] other Workers
 * @property {(miniflare: any, client: Client) => Promise<void>} prepare fill the database
 * @property {(miniflare: any, numbers: number[]) => Promise<void>} [store] prepare a publish, untimed
 * @property {(numbers: number[]) => import("./documents.mjs").Publication} publication
 * @property {boolean} speaksGraphql true if sockets must subscribe
 * @property {(miniflare: any) => Promise<boolean>} isCleanedUp true if closed sockets are removed
 */

const LIBRARY_MIGRATIONS = "node_modules/graphql-workers-subscriptions/migrations";
const CLEANUP_DEADLINE_MS = 60_000;
const POLL_MS = 50;

/** @type {Record<ServerName, Definition>} */
const DEFINITIONS = {
  ours: {
    worker: async () => stagedWorker(),
    prepare: prepareOurs,
    publication: mutation,
    speaksGraphql: true,
    isCleanedUp: async () => true,
  },
  // Ours without the write: the events are in D1 before timing starts, and a notification publishes them.
  tracker: {
    worker: async () => {
      const { name, durableObjects, d1Databases } = stagedWorker();
      const TRACKER = { ...durableObjects.TRACKER, scriptName: name };
      return {
        ...(await bundle("benchmarks/fanout/tracker/worker.mjs")),
        serviceBindings: { APP: name },
        durableObjects: { TRACKER },
        d1Databases,
      };
    },
    beside: () => [stagedWorker()],
    prepare: prepareOurs,
    store: async (miniflare, numbers) => {
      const database = await miniflare.getD1Database("DB");
      const update = database.prepare(
        "UPDATE instances SET metadata = ?, updated_at = ? WHERE instance_id = ?",
      );
      const now = new Date().toISOString();
      await database.batch(
        numbers
          .map(updateOf)
          .map(({ instanceId, metadata }) =>
            update.bind(JSON.stringify(metadata), now, instanceId),
          ),
      );
    },
    publication: () => ({ body: '"notify"', expected: "published" }),
    speaksGraphql: true,
    isCleanedUp: async () => true,
  },
  gws: {
    worker: async () => ({
      ...(await bundle("benchmarks/fanout/gws/worker.mjs")),
      d1Databases: { SUBSCRIPTIONS: { id: "SUBSCRIPTIONS" } },
      durableObjects: { WS_CONNECTION_POOL: { className: "WsConnectionPool" } },
    }),
    prepare: async (miniflare) => {
      const database = await miniflare.getD1Database("SUBSCRIPTIONS");
      await applyMigrations(database, join(ROOT, LIBRARY_MIGRATIONS));
    },
    publication: mutation,
    speaksGraphql: true,
    // It deletes the rows of closed sockets one by one, after they have closed.
    isCleanedUp: async (miniflare) => {
      const database = await miniflare.getD1Database("SUBSCRIPTIONS");
      return (await database.prepare("SELECT 1 FROM Subscriptions LIMIT 1").first()) === null;
    },
  },
  floor: {
    worker: async () => ({
      ...(await bundle("benchmarks/fanout/floor/worker.mjs")),
      durableObjects: { HUB: { className: "Hub", useSQLite: true } },
    }),
    prepare: async () => {},
    publication: readyFrame,
    speaksGraphql: false,
    isCleanedUp: async () => true,
  },
};

/** @param {unknown} name @returns {name is ServerName} */
export const isServer = (name) => typeof name === "string" && Object.hasOwn(DEFINITIONS, name);

/**
 * @param {any} miniflare
 * @param {Client} client
 */
async function prepareOurs(miniflare, client) {
  const database = await miniflare.getD1Database("DB");
  await applyMigrations(database, join(ROOT, "migrations"));
  await seed(database);
  await createInstances(client);
}

/**
 * Create running instances with the reference, which the publishes change.
 * @param {Client} client
 */
async function createInstances(client) {
  for (let first = 0; first < INSTANCES; first += BATCH) {
    const updates = range(first, BATCH).map((n) => ({
      instance: {
        instanceId: instanceIdOf(n),
        workflow: WORKFLOW,
        reference: REFERENCE,
        status: "RUNNING",
      },
    }));
    const query = `mutation Create($updates: [TrackingUpdate!]!) {
      track(updates: $updates) { ... on TrackPayload { applied } }
    }`;
    const { text } = await client.send(JSON.stringify({ query, variables: { updates } }));
    if (!text.includes(`"applied":${BATCH}`)) {
      throw new Error(`The instances could not be created: ${text}`);
    }
  }
}

/**
 * @param {number} first
 * @param {number} count
 */
const range = (first, count) => Array.from({ length: count }, (_, index) => first + index);

/** A server that is ready for sockets. */
export class Server {
  /** The number of the last event published. */
  published = 0;
  #definition;
  #miniflare;
  #client;
  #folder;

  /**
   * @param {ServerName} name
   * @param {{ miniflare: any, url: URL, client: Client, folder: string, pid?: number }} parts
   */
  constructor(name, { miniflare, url, client, folder, pid }) {
    this.name = name;
    this.url = url;
    /** The process of its workerd; undefined if there is no /proc. */
    this.pid = pid;
    this.#definition = DEFINITIONS[name];
    this.#miniflare = miniflare;
    this.#client = client;
    this.#folder = folder;
  }

  /** @param {ServerName} name */
  static async start(name) {
    const folder = await mkdtemp(join(tmpdir(), `flowflare-fanout-${name}-`));
    const others = new Set(workerdProcesses());
    const { worker, beside, prepare } = DEFINITIONS[name];
    const options = { port: 0, state: folder, beside: beside?.() };
    const miniflare = await startMiniflare(await worker(), options);
    try {
      const url = await miniflare.ready;
      const [pid] = workerdProcesses().filter((process) => !others.has(process));
      const client = new Client(url, KEY);
      await prepare(miniflare, client);
      return new Server(name, { miniflare, url, client, folder, pid });
    } catch (error) {
      await miniflare.dispose().catch(() => {});
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get speaksGraphql() {
    return this.#definition.speaksGraphql;
  }

  get authorization() {
    return `Bearer ${KEY}`;
  }

  /**
   * Prepare the publish of the next `count` events. This is not timed.
   * @param {number} count
   */
  async store(count) {
    await this.#definition.store?.(this.#miniflare, range(this.published + 1, count));
  }

  /**
   * Publish the next `count` events, in requests of at most BATCH, one after the other.
   * @param {number} count
   */
  async publish(count) {
    const numbers = range(this.published + 1, count);
    this.published += count;
    for (let at = 0; at < count; at += BATCH) {
      const { body, expected } = this.#definition.publication(numbers.slice(at, at + BATCH));
      const { status, text } = await this.#client.send(body);
      if (status !== 200 || !text.includes(expected)) {
        throw new WrongAnswer(`${this.name} answered a publish with ${status}: ${text}`);
      }
    }
  }

  /** Wait until the server has removed what it stores for closed sockets. */
  async waitForCleanup() {
    const deadline = performance.now() + CLEANUP_DEADLINE_MS;
    while (!(await this.#definition.isCleanedUp(this.#miniflare))) {
      if (performance.now() > deadline) {
        throw new Error(`${this.name} has not removed its closed sockets in time.`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop() {
    this.#client.close();
    await this.#miniflare.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
