// Writes events to the service and reads them back from its log.

import { Client } from "../client.mjs";
import { KEY } from "../workers.mjs";
import { cursorOf } from "./subscriber.mjs";

const RESPONSE_DEADLINE_MS = 20_000;
const PAGE = 1_000;

const TRACK = `mutation Track($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on TrackPayload { cursor } ... on Error { message } }
}`;
const EVENTS = `query Events($filter: EventFilter, $after: EventCursor) {
  events(filter: $filter, after: $after, first: ${PAGE}) {
    cursor hasMore events { cursor instance { instanceId } }
  }
}`;

/** Sends operations one after the other over one connection. */
export class LogClient {
  #client;

  /** @param {URL} url */
  constructor(url) {
    this.#client = new Client(url, KEY);
  }

  /**
   * Execute an operation; returns its `data`, and throws if it has errors.
   * @param {string} query
   * @param {Record<string, unknown>} [variables]
   */
  async execute(query, variables = {}) {
    const body = JSON.stringify({ query, variables });
    const { status, text } = await withDeadline(this.#client.send(body));
    const { data, errors } = status === 200 ? JSON.parse(text) : {};
    if (!data || errors) {
      throw new Error(`The service answered with ${status}: ${text.slice(0, 500)}`);
    }
    return data;
  }

  /** @returns {Promise<number>} the position of the last event in the log */
  async lastPosition() {
    return Number((await this.execute("{ events(first: 0) { cursor } }")).events.cursor);
  }

  close() {
    this.#client.close();
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function withDeadline(promise) {
  /** @type {NodeJS.Timeout} */
  let timer;
  const seconds = RESPONSE_DEADLINE_MS / 1000;
  const late = new Promise((_, reject) => {
    const error = new Error(`The service did not answer within ${seconds} s.`);
    timer = setTimeout(() => reject(error), RESPONSE_DEADLINE_MS);
  });
  return /** @type {Promise<T>} */ (Promise.race([promise, late])).finally(() =>
    clearTimeout(timer),
  );
}

/** Changes instances, and records the changes that the service has confirmed. */
export class Writer {
  /** @type {[position: number, instanceId: string][]} */
  confirmed = [];
  /** The number of confirmed events. */
  written = 0;
  #client;
  #instances;
  #count = 0;

  /**
   * @param {URL} url
   * @param {string[]} instances that no other writer changes
   */
  constructor(url, instances) {
    this.#client = new LogClient(url);
    this.#instances = instances;
  }

  /**
   * Create the instances.
   * @param {Record<string, unknown>} fields of each
   */
  async create(fields) {
    for (const instanceId of this.#instances) {
      await this.#track([{ instance: { instanceId, status: "RUNNING", ...fields } }]);
    }
  }

  /** Change each instance once, in one transaction, which writes an event for each. */
  async write() {
    this.#count += 1;
    const updates = this.#instances.map((instanceId) => ({
      instance: { instanceId, metadata: { n: this.#count } },
    }));
    const position = await this.#track(updates);
    this.written += updates.length;
    // The events of a transaction have consecutive positions.
    this.#instances.forEach((instanceId, index) => {
      this.confirmed.push([position - updates.length + 1 + index, instanceId]);
    });
  }

  /** @param {object[]} updates @returns {Promise<number>} position of the last event */
  async #track(updates) {
    const { track } = await this.#client.execute(TRACK, { updates });
    if (track.__typename !== "TrackPayload") {
      throw new Error(`The service refused a write: ${track.message}`);
    }
    return Number(track.cursor);
  }

  close() {
    this.#client.close();
  }
}

/**
 * Read the events of a workflow from the log.
 * @param {LogClient} client
 * @param {string} workflow
 * @param {number} after
 * @returns {Promise<Map<number, string>>} positions in order, each with the id of its instance
 */
export async function readLog(client, workflow, after) {
  /** @type {Map<number, string>} */
  const found = new Map();
  for (let more = true, at = after; more;) {
    const variables = { filter: { workflow: [workflow] }, after: cursorOf(at) };
    const { events: page } = await client.execute(EVENTS, variables);
    for (const { cursor, instance } of page.events) found.set(Number(cursor), instance.instanceId);
    at = Number(page.cursor);
    more = page.hasMore;
  }
  return found;
}
