// Many subscribers in this process. They check that every event comes, once and in order, and tell
// when the last of them has it.

import { WebSocket } from "ws";
import { WrongAnswer } from "../measure.mjs";
import { subscriptionTo } from "./documents.mjs";
import { MARK, MARK_LENGTH } from "./events.mjs";

/** How many sockets are being opened at a time. */
const OPENING = 50;
const OPEN_DEADLINE_MS = 20_000;
const EVENT_DEADLINE_MS = 30_000;
const LIVE_DEADLINE_MS = 60_000;
const PROBE_MS = 400;
const CLOSE_MS = 1_000;
const SHOWN = 300;

/**
 * @typedef {import("./servers.mjs").Server} Server
 *
 * @typedef {object} Subscriber
 * @property {number} index
 * @property {WebSocket} socket
 * @property {number} last number of the newest event it has
 * @property {() => void} acknowledged
 *
 * @typedef {object} Waiting
 * @property {number} target number of the event that is waited for
 * @property {number} missing how many sockets do not have it
 * @property {(at: number) => void} resolve
 * @property {(error: Error) => void} reject
 */

export class Crowd {
  /** Frames with events, and all bytes of them. */
  frames = 0;
  bytes = 0;
  /** @type {Subscriber[]} */
  #subscribers = [];
  #server;
  #selections;
  /** Before, a probe may miss a socket whose subscription the server has not stored yet. */
  #isLive = false;
  #isClosing = false;
  /** @type {Error | undefined} the first thing that went wrong */
  #fault;
  /** @type {Waiting | undefined} */
  #waiting;

  /**
   * @param {Server} server
   * @param {number} selections how many distinct documents the sockets subscribe with
   */
  constructor(server, selections) {
    this.#server = server;
    this.#selections = selections;
  }

  /**
   * Open sockets and subscribe; what a server does after a subscription may not be done yet.
   * @param {Server} server
   * @param {{ sockets: number, selections: number }} options
   */
  static async open(server, { sockets, selections }) {
    const crowd = new Crowd(server, selections);
    try {
      for (let first = 0; first < sockets; first += OPENING) {
        const count = Math.min(OPENING, sockets - first);
        await Promise.all(Array.from({ length: count }, (_, i) => crowd.#join(first + i)));
      }
    } catch (error) {
      // What closing says of a crowd that was refused is only a consequence.
      await crowd.close().catch(() => {});
      throw error;
    }
    return crowd;
  }

  get size() {
    return this.#subscribers.length;
  }

  /** @param {number} index */
  async #join(index) {
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
      if (!this.#isClosing) this.#fail(`${name} closed socket ${index}: ${code} ${reason}`);
    });
    await new Promise((resolve, reject) => {
      const late = () => reject(new Error(`${name} did not take socket ${index} in time.`));
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
    const payload = subscriptionTo(index % this.#selections);
    socket.send(JSON.stringify({ id: "1", type: "subscribe", payload }));
  }

  /** Publish until one event has reached every socket: only then is each sure to get the next. */
  async goLive() {
    const { name } = this.#server;
    const deadline = performance.now() + LIVE_DEADLINE_MS;
    for (;;) {
      await this.#server.store(1);
      await this.#server.publish(1);
      if (await this.#hasAll(this.#server.published, PROBE_MS)) break;
      if (performance.now() > deadline) throw new Error(`${name} does not reach every socket.`);
    }
    this.#isLive = true;
    this.frames = 0;
    this.bytes = 0;
  }

  /**
   * When the last socket has the event of this number. Ask before it is published.
   * @param {number} target
   * @returns {Promise<number>} on the clock of `performance.now`
   */
  async until(target) {
    const at = await this.#await(target, EVENT_DEADLINE_MS);
    if (at !== undefined) return at;
    const lacking = this.#subscribers.filter(({ last }) => last < target).length;
    const sockets = `${lacking} of ${this.size} sockets`;
    throw new WrongAnswer(`${this.#server.name}: ${sockets} have not got event ${target}.`);
  }

  /**
   * @param {number} target
   * @param {number} deadlineMs
   */
  async #hasAll(target, deadlineMs) {
    return (await this.#await(target, deadlineMs)) !== undefined;
  }

  /**
   * @param {number} target
   * @param {number} deadlineMs
   * @returns {Promise<number | undefined>} undefined once the deadline has passed
   */
  async #await(target, deadlineMs) {
    if (this.#fault) throw this.#fault;
    const missing = this.#subscribers.filter(({ last }) => last < target).length;
    if (missing === 0) return performance.now();
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { target, missing, resolve, reject };
        timer = setTimeout(() => resolve(undefined), deadlineMs);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  /**
   * @param {Subscriber} subscriber
   * @param {Buffer} data
   */
  #receive(subscriber, data) {
    // All that is looked for is ASCII, and this decoding costs least.
    const text = data.toString("latin1");
    let at = text.indexOf(MARK);
    if (at < 0) return this.#control(subscriber, text);
    this.frames += 1;
    this.bytes += data.length;
    for (; at >= 0; at = text.indexOf(MARK, at + MARK_LENGTH)) {
      const number = Number(text.slice(at + MARK.length, at + MARK_LENGTH));
      const due = subscriber.last + 1;
      if (this.#isLive ? number !== due : !(number >= due)) {
        const which = `socket ${subscriber.index} of ${this.#server.name}`;
        return this.#fail(`${which} got event ${number} where ${due} was due`);
      }
      subscriber.last = number;
      this.#count(number);
    }
  }

  /** @param {number} number of an event that one more socket has */
  #count(number) {
    const waiting = this.#waiting;
    if (!waiting || number !== waiting.target) return;
    waiting.missing -= 1;
    if (waiting.missing === 0) waiting.resolve(performance.now());
  }

  /**
   * A frame without an event.
   * @param {Subscriber} subscriber
   * @param {string} text
   */
  #control({ index, socket, acknowledged }, text) {
    const { type } = JSON.parse(text);
    if (type === "connection_ack") return acknowledged();
    if (type === "ping") return socket.send('{"type":"pong"}');
    this.#fail(`${this.#server.name} sent socket ${index} ${text.slice(0, SHOWN)}`);
  }

  /** @param {string} message */
  #fail(message) {
    this.#fault ??= new WrongAnswer(message);
    this.#waiting?.reject(this.#fault);
  }

  /** Close all sockets and wait until the server has forgotten them; throws what went wrong. */
  async close() {
    this.#isClosing = true;
    this.#waiting?.reject(new Error("The sockets were closed."));
    await Promise.all(this.#subscribers.map(({ socket }) => close(socket)));
    await this.#server.quiet();
    if (this.#fault) throw this.#fault;
  }
}

/** @param {WebSocket} socket */
async function close(socket) {
  if (socket.readyState === WebSocket.CLOSED) return;
  await new Promise((resolve) => {
    // A server that does not answer a close in time is not waited for.
    const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    socket.close(1000);
  });
}
