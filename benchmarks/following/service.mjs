// The service with Workers beside it, all in one workerd.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindWorkflows, readBeside } from "../../scripts/beside.mjs";
import { ROOT } from "../../scripts/config.mjs";
import { applyMigrations } from "../../scripts/migrate.mjs";
import { startMiniflare } from "../../scripts/start.mjs";
import { Client } from "../client.mjs";
import { WrongAnswer } from "../measure.mjs";
import { KEY, stagedWorker } from "../workers.mjs";

const START = `mutation Start($input: StartWorkflowInput!) {
  startWorkflow(input: $input) { __typename ... on Error { message } }
}`;

export class Service {
  #miniflare;
  #client;
  #folder;

  /** @param {{ miniflare: any, url: URL, folder: string }} parts */
  constructor({ miniflare, url, folder }) {
    this.url = url;
    this.#miniflare = miniflare;
    this.#client = new Client(url, KEY);
    this.#folder = folder;
  }

  /**
   * @param {string[]} names folders of the Workers beside the service, below benchmarks/
   * @param {{ shards: number }} options the number of the follower's shards
   */
  static async start(names, { shards }) {
    const folder = await mkdtemp(join(tmpdir(), "flowflare-following-"));
    const others = await Promise.all(
      names.map((name) => readBeside(join(ROOT, "benchmarks", name))),
    );
    const service = stagedWorker();
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
      return new Service({ miniflare, url, folder });
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

  async stop() {
    this.#client.close();
    await this.#miniflare.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
