// Writes to the service, and what its log says of them.

import { Client } from "../client.mjs";
import { KEY } from "../workers.mjs";
import { cursorOf } from "./subscriber.mjs";

const DEADLINE_MS = 20_000;
const PAGE = 1_000;

const TRACK = `mutation Track($updates: [TrackingUpdate!]!) {
  track(updates: $updates) { __typename ... on TrackPayload { cursor } ... on Error { message } }
}`;
const EVENTS = `query Events($filter: EventFilter, $after: EventCursor) {
  events(filter: $filter, after: $after, first: ${PAGE}) {
    cursor hasMore events { cursor instance { instanceId } }
  }
}`;

/** One connection; its requests come one after the other. */
export class Caller {
  #client;

  /** @param {URL} url */
  constructor(url) {
    this.#client = new Client(url, KEY);
  }

  /**
   * `data` of an operation; throws where there is none.
   * @param {string} query
   * @param {Record<string, unknown>} [variables]
   */
  async data(query, variables = {}) {
    const { status, text } = await inTime(this.#client.send(JSON.stringify({ query, variables })));
    const body = status === 200 ? JSON.parse(text) : {};
    if (!body.data || body.errors) throw new Error(`Answered ${status}: ${text.slice(0, 500)}`);
    return body.data;
  }

  /** @returns {Promise<number>} the position of the last event */
  async head() {
    return Number((await this.data("{ events(first: 0) { cursor } }")).events.cursor);
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
function inTime(promise) {
  /** @type {NodeJS.Timeout} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("No answer in time.")), DEADLINE_MS);
  });
  return /** @type {Promise<T>} */ (Promise.race([promise, late])).finally(() =>
    clearTimeout(timer),
  );
}

/** A client that changes instances, and remembers which changes the service has confirmed. */
export class Writer {
  /** @type {[position: number, instanceId: string][]} the last event of each batch */
  confirmed = [];
  /** The number of events there are to be. */
  written = 0;
  #caller;
  #instances;
  #count = 0;

  /**
   * @param {URL} url
   * @param {string[]} instances that nobody else changes
   */
  constructor(url, instances) {
    this.#caller = new Caller(url);
    this.#instances = instances;
  }

  /**
   * Create the instances.
   * @param {Record<string, unknown>} given of each
   */
  async create(given) {
    for (const instanceId of this.#instances) {
      await this.#track([{ instance: { instanceId, status: "RUNNING", ...given } }]);
    }
  }

  /** Change each instance once, in one transaction: an event each. */
  async write() {
    this.#count += 1;
    const updates = this.#instances.map((instanceId) => ({
      instance: { instanceId, metadata: { n: this.#count } },
    }));
    const position = await this.#track(updates);
    this.written += updates.length;
    // Nothing comes between the events of a transaction.
    this.#instances.forEach((instanceId, index) => {
      this.confirmed.push([position - updates.length + 1 + index, instanceId]);
    });
  }

  /** @param {object[]} updates @returns {Promise<number>} position of the last event */
  async #track(updates) {
    const { track } = await this.#caller.data(TRACK, { updates });
    if (track.__typename !== "TrackPayload")
      throw new Error(`A write was refused: ${track.message}`);
    return Number(track.cursor);
  }

  close() {
    this.#caller.close();
  }
}

/**
 * The events of a workflow in the log: positions in order, each with its instance.
 * @param {Caller} caller
 * @param {string} workflow
 * @param {number} after
 * @returns {Promise<Map<number, string>>}
 */
export async function logged(caller, workflow, after) {
  /** @type {Map<number, string>} */
  const found = new Map();
  for (let more = true, at = after; more;) {
    const variables = { filter: { workflow: [workflow] }, after: cursorOf(at) };
    const { events: page } = await caller.data(EVENTS, variables);
    for (const { cursor, instance } of page.events) found.set(Number(cursor), instance.instanceId);
    at = Number(page.cursor);
    more = page.hasMore;
  }
  return found;
}
