// Reads the history of an instance from the engine
// (https://developers.cloudflare.com/workflows/, "Subscribe to events").
//
// The reader is an entrypoint of its own, because a call of the engine that waits for an event cannot be
// cancelled and would keep the Durable Object in memory. It ends with the reader.

import { env as bindings, RpcTarget } from "cloudflare:workers";
import { describeValue } from "../resolvers/runtime/values.mjs";
import { within } from "./timing.mjs";

/**
 * An event in the form that `parse_event` of following/history.py takes.
 * @typedef {object} HistoryEvent
 * @property {number} id
 * @property {number} at milliseconds since 1970
 * @property {string} type
 * @property {string} [step] name and occurrence
 * @property {number} [attempt]
 * @property {string} [value] JSON text of the output or the parameters
 * @property {string} [kind] what the text is of the value (see values.mjs)
 * @property {[name: string, message: string]} [error]
 * @property {Record<string, unknown>} [details]
 *
 * @typedef {object} Part a part of a history
 * @property {string} events a JSON array of HistoryEvents; empty if none came in time
 * @property {number} count of these events
 * @property {number} bytes of their values
 * @property {boolean} isOver true if no events follow
 * @property {boolean} isSpent true if the reader reads no more: the rest is for another one
 *
 * @typedef {object} Limits
 * @property {number} events the most events of a part
 * @property {number} bytes the most bytes of the values of a part, after which it takes no further event
 * @property {import("../resolvers/runtime/values.mjs").Limits} values
 * @property {number} errorCharacters the most characters of an error's message
 * @property {number} ahead events that are asked for at once
 * @property {number} calls the most calls of the engine by one reader
 * @property {number} pauseMs the time without an event after which a part ends
 * @property {number} partMs the longest time from the first event of a part to its end
 * @property {number} beginMs the time until the engine names the beginning of a run
 */

/** @type {Record<string, any>} */
const env = bindings;

// A result that is undefined may be left out of its event.
const HAS_VALUE = new Set(["workflow_started", "workflow_completed", "step_completed"]);
const DETAILS = ["config", "durationMs", "retryDelayMs", "eventType"];

/**
 * Open the history of an instance behind an event.
 * @param {string} binding of the Workflow
 * @param {string} id
 * @param {number} after the number of the event, 0 for the beginning
 * @param {string} limits JSON text
 */
export async function openHistory(binding, id, after, limits) {
  if (env[binding] === undefined) {
    throw new Error(`the Worker has no binding ${binding}, which WORKFLOWS names`);
  }
  const instance = await env[binding].get(id);
  const subscription = await instance.subscribe(after > 0 ? { cursor: after } : {});
  return new HistoryReader(instance, subscription, JSON.parse(limits));
}

/** A reader of one history. The caller closes it, and then disposes of it. */
export class HistoryReader extends RpcTarget {
  #instance;
  #subscription;
  #limits;
  #calls = 0;
  /** @type {Promise<{ result: IteratorResult<any> } | { error: unknown }>[]} events that are asked for */
  #asked = [];

  /**
   * @param {any} instance
   * @param {any} subscription
   * @param {Limits} limits
   */
  constructor(instance, subscription, limits) {
    super();
    this.#instance = instance;
    this.#subscription = subscription;
    this.#limits = limits;
  }

  /**
   * Read the time at which the run in this history began, in milliseconds; null if it has not begun. Every
   * restart replaces the event, even if it keeps the steps before a certain one.
   */
  async began() {
    const { beginMs } = this.#limits;
    // While an instance restarts, this call may never return.
    const filter = ["workflow_running"];
    const subscription = await within(beginMs, this.#instance.subscribe({ filter }));
    if (!subscription) return null;
    const first = await within(beginMs, subscription.next());
    dispose(subscription);
    return first?.value?.timestamp ?? null;
  }

  /**
   * Read the next events: all that are there, and those that follow within a moment.
   * @param {number} waitMs the time to wait for the first
   * @returns {Promise<Part>}
   */
  async read(waitMs) {
    const { events: most, bytes: mostBytes, pauseMs, partMs } = this.#limits;
    /** @type {HistoryEvent[]} */
    const events = [];
    const part = { bytes: 0, isOver: false, isSpent: false };
    let deadline = Date.now() + waitMs;
    while (events.length < most && part.bytes < mostBytes) {
      this.#ask();
      part.isSpent = this.#asked.length === 0;
      if (part.isSpent) break;
      const left = deadline - Date.now();
      const wait = events.length > 0 ? Math.min(left, pauseMs) : left;
      const answer = await within(Math.max(wait, 0), this.#asked[0]);
      // The events before an error are recorded first; the next call throws.
      if (answer === undefined || ("error" in answer && events.length > 0)) break;
      if ("error" in answer) throw answer.error;
      part.isOver = Boolean(answer.result.done);
      if (part.isOver) break;
      this.#asked.shift();
      const event = describe(answer.result.value, this.#limits);
      if (events.length === 0) deadline = Date.now() + partMs;
      events.push(event);
      part.bytes += (event.value?.length ?? 0) + (event.error?.[1].length ?? 0);
    }
    return { ...part, events: JSON.stringify(events), count: events.length };
  }

  /** Ask for the next events, several at once: most of the time of a call is its way. */
  #ask() {
    const { ahead, calls } = this.#limits;
    while (this.#asked.length < ahead && this.#calls < calls) {
      this.#calls += 1;
      this.#asked.push(
        this.#subscription.next().then(
          (/** @type {IteratorResult<any>} */ result) => ({ result }),
          (/** @type {unknown} */ error) => ({ error }),
        ),
      );
    }
  }

  /** Close the history. */
  close() {
    dispose(this.#subscription);
    dispose(this.#instance);
  }
}

/** @param {any} resource */
function dispose(resource) {
  resource[/** @type {any} */ (Symbol).dispose]?.();
}

/**
 * @param {any} given an event of the engine
 * @param {Limits} limits
 * @returns {HistoryEvent}
 */
export function describe(given, limits) {
  const { eventId: id, timestamp: at, type, stepName: step, attempt, error } = given;
  const { output = given.params } = given;
  const value = describeValue(output, limits.values);
  // A stream that nobody reads would stay open.
  if (output instanceof ReadableStream) output.cancel().catch(() => {});
  const details = Object.fromEntries(
    DETAILS.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  );
  const cut = (/** @type {unknown} */ text) => `${text}`.slice(0, limits.errorCharacters);
  return {
    id,
    at,
    type,
    ...(step !== undefined && { step }),
    ...(attempt !== undefined && { attempt }),
    ...(HAS_VALUE.has(type) && { value: value.text, kind: value.kind }),
    ...(error !== undefined && {
      error: [cut(error?.name ?? "Error"), cut(error?.message ?? error)],
    }),
    ...(Object.keys(details).length > 0 && { details }),
  };
}
