// The service with Workers beside it, all in one workerd.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { bindWorkflows, readBeside } from "../../scripts/beside.mjs";
import { ROOT } from "../../scripts/config.mjs";
import { applyMigrations } from "../../scripts/migrate.mjs";
import { startMiniflare } from "../../scripts/start.mjs";
import { Client } from "../client.mjs";
import { WrongAnswer } from "../measure.mjs";
import { KEY, stagedWorker } from "../workers.mjs";
import { counting, readCounts } from "./counting.mjs";

const DEADLINE_MS = 60_000;
const POLL_MS = 20;

const START = `mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { message } }
}`;

export class Service {
  #miniflare;
  #client;
  #folder;
  #name;

  /** @param {{ miniflare: any, url: URL, folder: string, name: string }} parts */
  constructor({ miniflare, url, folder, name }) {
    this.url = url;
    this.#name = name;
    this.#miniflare = miniflare;
    this.#client = new Client(url, KEY);
    this.#folder = folder;
  }

  /**
   * @param {string[]} names folders of the Workers beside the service, below benchmarks/
   * @param {{ shards: number, counts?: boolean }} options shards: of the follower; counts: true to
   *   count what the service uses
   */
  static async start(names, { shards, counts = false }) {
    const folder = await mkdtemp(join(tmpdir(), "flowflare-following-"));
    const others = await Promise.all(
      names.map((name) => readBeside(join(ROOT, "benchmarks", name))),
    );
    const service = counts ? counting(stagedWorker()) : stagedWorker();
    const beside = others.map(({ worker }) => ({
      ...worker,
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    }));
    bindWorkflows(service, beside);
    service.bindings.FOLLOWER_SHARDS = shards;
    const miniflare = await startMiniflare(service, { port: 0, state: folder, beside });
    try {
      const url = await miniflare.ready;
      await applyMigrations(await miniflare.getD1Database("DB"), join(ROOT, "migrations"));
      return new Service({ miniflare, url, folder, name: service.name });
    } catch (error) {
      await miniflare.dispose().catch(() => {});
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * The URL of a Worker beside the service.
   * @param {string} name
   * @returns {Promise<URL>}
   */
  urlOf(name) {
    return this.#miniflare.unsafeGetDirectURL(name);
  }

  /**
   * Start an instance, which is followed if the follower has shards.
   * @param {string} workflow
   * @param {string} instanceId
   * @param {unknown} input
   */
  async startWorkflow(workflow, instanceId, input) {
    const variables = { input: { workflow, instanceId, input } };
    const { status, text } = await this.#client.send(JSON.stringify({ query: START, variables }));
    if (status !== 200 || !text.includes('"InstancePayload"')) {
      throw new WrongAnswer(`The service answered a start with ${status}: ${text}`);
    }
  }

  /**
   * Start an instance of the Worker tracking/driver there, so that the service does not know it.
   * @param {string} binding of its Workflow
   * @param {string} instanceId
   * @param {unknown} params
   */
  async startUnfollowed(binding, instanceId, params) {
    const url = new URL(`/${binding}/${instanceId}`, await this.urlOf("driver"));
    const { ok } = await fetch(url, { method: "POST", body: JSON.stringify(params) });
    if (!ok) throw new WrongAnswer(`The driver has not started ${instanceId}.`);
  }

  /**
   * Wait until the service has recorded that an instance has this status. The query is not counted.
   * @param {string} instanceId
   * @param {string} expected
   */
  async untilRecorded(instanceId, expected) {
    const database = await this.#miniflare.getD1Database("DB");
    const query = database
      .prepare("SELECT status FROM instances WHERE instance_id = ?")
      .bind(instanceId);
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const status = await query.first("status");
      if (status === expected) return;
      if (["ERRORED", "TERMINATED"].includes(status) || performance.now() > deadline) {
        throw new WrongAnswer(`${instanceId} is ${status} instead of ${expected}.`);
      }
      await pause(POLL_MS);
    }
  }

  /**
   * Wait until the engine has ended an instance of the Worker tracking/driver.
   * @param {string} binding of its Workflow there
   * @param {string} instanceId
   * @returns {Promise<any>} its output
   */
  async untilEnded(binding, instanceId) {
    const url = new URL(`/${binding}/${instanceId}`, await this.urlOf("driver"));
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const { status, output, error } = await (await fetch(url)).json();
      if (status === "complete") return output;
      if (status === "errored" || performance.now() > deadline) {
        throw new WrongAnswer(`${instanceId} is ${status}: ${JSON.stringify(error)}`);
      }
      await pause(POLL_MS);
    }
  }

  /** Counts of the service's use so far, if it counts. */
  counts() {
    return readCounts(this.#miniflare, this.#name);
  }

  async stop() {
    this.#client.close();
    await this.#miniflare.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
