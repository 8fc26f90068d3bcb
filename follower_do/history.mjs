// Reads the history of an instance from the engine
// (https://developers.cloudflare.com/workflows/, "Subscribe to events").

import { describeValue } from "../resolvers/runtime/values.mjs";
import { settings } from "./python.mjs";

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
 */

// A result that is undefined may be left out of its event.
const HAS_VALUE = new Set(["workflow_started", "workflow_completed", "step_completed"]);
const DETAILS = ["config", "durationMs", "retryDelayMs", "eventType"];

/** An open history. */
export class History {
  #subscription;
  #quietMs = settings.openMs;
  /** @type {Promise<IteratorResult<any>> | undefined} of the event that is waited for */
  #pending;

  /** @param {any} subscription */
  constructor(subscription) {
    this.#subscription = subscription;
  }

  /**
   * Open the history of an instance behind an event.
   * @param {any} workflow the binding
   * @param {string} id
   * @param {number} after the number of the event, 0 for the beginning
   */
  static async open(workflow, id, after) {
    const opening = (async () => {
      const instance = await workflow.get(id);
      return new History(await instance.subscribe(after > 0 ? { cursor: after } : {}));
    })();
    // While an instance restarts, this call may never return.
    const history = await within(settings.openMs, opening);
    if (history) return history;
    opening.then((late) => late.close()).catch(() => {});
    throw new Error(`the engine did not open it within ${settings.openMs} ms`);
  }

  /**
   * Read the next events: all that are there, and those that follow within a moment.
   * @returns {Promise<{ events: HistoryEvent[], isOver: boolean }>} no events if none came for a while
   */
  async read() {
    /** @type {HistoryEvent[]} */
    const events = [];
    let bytes = 0;
    let waitMs = this.#quietMs;
    this.#quietMs = settings.quietMs;
    while (events.length < settings.events && bytes < settings.bytes) {
      this.#pending ??= this.#subscription.next();
      let result;
      try {
        result = await within(waitMs, /** @type {Promise<any>} */ (this.#pending));
      } catch (error) {
        // The events before the error are recorded first; the next call throws.
        if (events.length > 0) break;
        throw error;
      }
      if (result === undefined) break;
      this.#pending = undefined;
      if (result.done) return { events, isOver: true };
      const event = describe(result.value);
      events.push(event);
      bytes += event.value?.length ?? 0;
      waitMs = settings.lingerMs;
    }
    return { events, isOver: false };
  }

  /** Close the history. */
  close() {
    this.#pending?.catch(() => {});
    const { dispose } = /** @type {any} */ (Symbol);
    this.#subscription[dispose]?.();
  }
}

/**
 * @param {any} given an event of the engine
 * @returns {HistoryEvent}
 */
export function describe(given) {
  const { eventId: id, timestamp: at, type, stepName: step, attempt, error } = given;
  const { output = given.params } = given;
  const value = describeValue(output, settings.values);
  // A stream that nobody reads would stay open.
  if (output instanceof ReadableStream) output.cancel().catch(() => {});
  const details = Object.fromEntries(
    DETAILS.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  );
  return {
    id,
    at,
    type,
    ...(step !== undefined && { step }),
    ...(attempt !== undefined && { attempt }),
    ...(HAS_VALUE.has(type) && { value: value.text, kind: value.kind }),
    ...(error !== undefined && {
      error: [`${error?.name ?? "Error"}`, `${error?.message ?? error}`],
    }),
    ...(Object.keys(details).length > 0 && { details }),
  };
}

/**
 * The result of `work`, or undefined if it takes longer.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} work
 * @returns {Promise<T | undefined>}
 */
function within(ms, work) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
