// A pool of many subscribers in this process. It checks that each of them receives every event once
// and in order, and reports when the last one has received an event.

import { WebSocket } from "ws";
import { WrongAnswer } from "../measure.mjs";
import { subscriptionPayload } from "./documents.mjs";
import { NUMBER_LENGTH, NUMBER_PREFIX } from "./events.mjs";

/** The number of sockets that are opened at the same time. */
const CONCURRENT_OPENS = 50;
const OPEN_DEADLINE_MS = 20_000;
const EVENT_DEADLINE_MS = 30_000;
const CONFIRM_DEADLINE_MS = 60_000;
const PROBE_MS = 400;
const CLOSE_MS = 1_000;
const MAX_SHOWN = 300;

/**
 * @typedef {import("./servers.mjs").Server} Server
 *
 * @typedef {object} Subscriber
 * @property {number} index
 * @property {WebSocket} socket
 * @property {number} last number of the last event received
 * @property {() => void} acknowledged
 *
 * @typedef {object} PendingEvent
 * @property {number} number
 * @property {number} missing the number of sockets that have not received it
 * @property {(at: number) => void} resolve
 * @property {(error: Error) => void} reject
 */

export class SubscriberPool {
  /** Count and size of the frames with events. */
  frames = 0;
  bytes = 0;
  /** @type {Subscriber[]} */
  #subscribers = [];
  #server;
  #selections;
  /** Until then, sockets may miss events because the server has not stored their subscriptions. */
  #isConfirmed = false;
  #isClosing = false;
  /** @type {Error | undefined} */
  #firstError;
  /** @type {PendingEvent | undefined} */
  #pending;

  /**
   * @param {Server} server
   * @param {number} selections the number of distinct documents to subscribe with
   */
  constructor(server, selections) {
    this.#server = server;
    this.#selections = selections;
  }

  /**
   * Open sockets and subscribe. The server may still be storing subscriptions afterwards.
   * @param {Server} server
   * @param {{ sockets: number, selections: number }} options
   */
  static async open(server, { sockets, selections }) {
    const pool = new SubscriberPool(server, selections);
    try {
      for (let first = 0; first < sockets; first += CONCURRENT_OPENS) {
        const count = Math.min(CONCURRENT_OPENS, sockets - first);
        await Promise.all(Array.from({ length: count }, (_, i) => pool.#subscribe(first + i)));
      }
    } catch (error) {
      // An error of `close` is only a consequence of this one.
      await pool.close().catch(() => {});
      throw error;
    }
    return pool;
  }

  get size() {
    return this.#subscribers.length;
  }

  /** @param {number} index */
  async #subscribe(index) {
    const { url, name, speaksGraphql, authorization } = this.#server;
    const socket = new WebSocket(
      new URL("/graphql", url.href.replace("http", "ws")),
      speaksGraphql ? ["graphql-transport-ws"] : [],
      { perMessageDeflate: false, headers: { authorization }, handshakeTimeout: OPEN_DEADLINE_MS },
    );
    /** @type {Subscriber} */
    const subscriber = { index, socket, last: this.#server.published, acknowledged: () => {} };
    this.#subscribers.push(subscriber);
    socket.on("message", (/** @type {Buffer} */ data) => this.#receive(subscriber, data));
    socket.on("close", (code, reason) => {
      if (!this.#isClosing) this.#fail(`${name} closed socket ${index} with ${code} ${reason}`);
    });
    await new Promise((resolve, reject) => {
      const seconds = OPEN_DEADLINE_MS / 1000;
      const late = () =>
        reject(new Error(`${name} did not accept socket ${index} in ${seconds} s.`));
      const timer = setTimeout(late, OPEN_DEADLINE_MS);
      subscriber.acknowledged = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
      socket.on("error", ({ message }) => {
        clearTimeout(timer);
        reject(new Error(`${name} refused socket ${index}: ${message}`));
      });
      socket.on("open", () => {
        if (!speaksGraphql) return subscriber.acknowledged();
        socket.send(JSON.stringify({ type: "connection_init", payload: { authorization } }));
      });
    });
    if (!speaksGraphql) return;
    const payload = subscriptionPayload(index % this.#selections);
    socket.send(JSON.stringify({ id: "1", type: "subscribe", payload }));
  }

  /** Publish events until one has reached every socket, which shows that all are subscribed. */
  async confirmSubscriptions() {
    const { name } = this.#server;
    const deadline = performance.now() + CONFIRM_DEADLINE_MS;
    for (;;) {
      await this.#server.store(1);
      await this.#server.publish(1);
      if ((await this.#wait(this.#server.published, PROBE_MS)) !== undefined) break;
      if (performance.now() > deadline) {
        throw new Error(`No event of ${name} reached every socket.`);
      }
    }
    this.#isConfirmed = true;
    this.frames = 0;
    this.bytes = 0;
  }

  /**
   * Wait until the last socket has received an event. Call this before the event is published.
   * @param {number} number of the event
   * @returns {Promise<number>} the time, as `performance.now` gives it
   */
  async waitForEvent(number) {
    const at = await this.#wait(number, EVENT_DEADLINE_MS);
    if (at !== undefined) return at;
    const sockets = `${this.#missing(number)} of ${this.size} sockets`;
    throw new WrongAnswer(`${this.#server.name}: ${sockets} did not receive event ${number}.`);
  }

  /**
   * @param {number} number of an event
   * @returns {number} the number of sockets that have not received it
   */
  #missing(number) {
    return this.#subscribers.filter(({ last }) => last < number).length;
  }

  /**
   * @param {number} number of the event
   * @param {number} deadlineMs
   * @returns {Promise<number | undefined>} undefined if the deadline has passed
   */
  async #wait(number, deadlineMs) {
    if (this.#firstError) throw this.#firstError;
    const missing = this.#missing(number);
    if (missing === 0) return performance.now();
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        this.#pending = { number, missing, resolve, reject };
        timer = setTimeout(() => resolve(undefined), deadlineMs);
      });
    } finally {
      clearTimeout(timer);
      this.#pending = undefined;
    }
  }

  /**
   * @param {Subscriber} subscriber
   * @param {Buffer} data
   */
  #receive(subscriber, data) {
    // latin1 is the fastest decoding, and what is searched for is ASCII.
    const text = data.toString("latin1");
    let at = text.indexOf(NUMBER_PREFIX);
    if (at < 0) return this.#receiveControl(subscriber, text);
    this.frames += 1;
    this.bytes += data.length;
    for (; at >= 0; at = text.indexOf(NUMBER_PREFIX, at + NUMBER_LENGTH)) {
      const number = Number(text.slice(at + NUMBER_PREFIX.length, at + NUMBER_LENGTH));
      const expected = subscriber.last + 1;
      if (this.#isConfirmed ? number !== expected : !(number >= expected)) {
        const which = `Socket ${subscriber.index} of ${this.#server.name}`;
        return this.#fail(`${which} received event ${number} instead of ${expected}.`);
      }
      subscriber.last = number;
      this.#countReceived(number);
    }
  }

  /** @param {number} number of an event that one more socket has received */
  #countReceived(number) {
    const pending = this.#pending;
    if (!pending || number !== pending.number) return;
    pending.missing -= 1;
    if (pending.missing === 0) pending.resolve(performance.now());
  }

  /**
   * Handle a frame without an event.
   * @param {Subscriber} subscriber
   * @param {string} text
   */
  #receiveControl({ index, socket, acknowledged }, text) {
    const { type } = JSON.parse(text);
    if (type === "connection_ack") return acknowledged();
    if (type === "ping") return socket.send('{"type":"pong"}');
    this.#fail(`${this.#server.name} sent socket ${index} ${text.slice(0, MAX_SHOWN)}`);
  }

  /** @param {string} message */
  #fail(message) {
    this.#firstError ??= new WrongAnswer(message);
    this.#pending?.reject(this.#firstError);
  }

  /** Close all sockets and wait until the server has cleaned up; throws the pool's first error. */
  async close() {
    this.#isClosing = true;
    this.#pending?.reject(new Error("The sockets were closed."));
    await Promise.all(this.#subscribers.map(({ socket }) => close(socket)));
    await this.#server.waitForCleanup();
    if (this.#firstError) throw this.#firstError;
  }
}

/** @param {WebSocket} socket */
async function close(socket) {
  if (socket.readyState === WebSocket.CLOSED) return;
  await new Promise((resolve) => {
    // Do not wait longer for a server that does not answer the close.
    const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    socket.close(1000);
  });
}
