// A subscriber that records the events it receives, and reconnects with its cursor.

import { WebSocket } from "ws";
import { KEY } from "../workers.mjs";

const RECONNECT_MS = 200;

/** @typedef {{ query: string, variables: Record<string, unknown> }} Payload */

export class Subscriber {
  /** @type {Set<number>} positions of the events received */
  received = new Set();
  duplicated = 0;
  outOfOrder = 0;
  /** @type {string[]} unexpected messages */
  errors = [];
  /** The position of the last page, which also counts events that the filter excludes. */
  #position;
  /** The position of the last event. */
  #last;
  #url;
  #payload;
  #closes;
  /** @type {WebSocket | undefined} */
  #socket;
  #isClosing = false;
  #isStalled = false;

  /**
   * @param {URL} url of the server
   * @param {Payload} payload
   * @param {{ after: number, closes: Map<number, number> }} options `after` is the position
   *   to start from; `closes` counts the close codes of the server
   */
  constructor(url, payload, { after, closes }) {
    /** The position from which the subscription started. */
    this.after = after;
    this.#url = new URL("/graphql", url.href.replace("http", "ws"));
    this.#payload = payload;
    this.#closes = closes;
    this.#position = this.#last = after;
  }

  /** Connect and subscribe, again after each loss of the connection. Resolves when acknowledged. */
  open() {
    const socket = new WebSocket(this.#url, ["graphql-transport-ws"], { perMessageDeflate: false });
    this.#socket = socket;
    return new Promise((resolve) => {
      let wasOpen = false;
      socket.on("open", () => {
        wasOpen = true;
        send(socket, { type: "connection_init", payload: { authorization: `Bearer ${KEY}` } });
      });
      // Every error is followed by a close, which is handled below.
      socket.on("error", () => {});
      socket.on("message", (data) => {
        if (socket !== this.#socket) return;
        const message = JSON.parse(data.toString());
        if (message.type === "connection_ack") {
          const extensions = { after: cursorOf(this.#position) };
          send(socket, { type: "subscribe", id: "1", payload: { ...this.#payload, extensions } });
          resolve(undefined);
        } else this.#receive(socket, message);
      });
      socket.on("close", (code) => {
        if (socket !== this.#socket || this.#isClosing) return resolve(undefined);
        if (wasOpen) this.#closes.set(code, (this.#closes.get(code) ?? 0) + 1);
        if (this.#isStalled) return resolve(undefined);
        setTimeout(() => resolve(this.#isClosing ? undefined : this.open()), RECONNECT_MS);
      });
    });
  }

  /** Break the connection and reconnect at once. */
  reconnect() {
    const old = this.#socket;
    const opened = this.open();
    old?.terminate();
    return opened;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Stop reading from the network, so that messages pile up at the server. */
  stall() {
    this.#isStalled = true;
    this.#socket?.pause();
  }

  /** Read again, but ignore the messages. */
  resume() {
    this.#socket?.removeAllListeners("message");
    this.#socket?.resume();
  }

  close() {
    this.#isClosing = true;
    this.#socket?.terminate();
  }

  /**
   * @param {WebSocket} socket
   * @param {any} message
   */
  #receive(socket, message) {
    if (message.type === "ping") return send(socket, { type: "pong" });
    if (message.type !== "next" || message.payload.errors) {
      return void this.errors.push(JSON.stringify(message).slice(0, 500));
    }
    for (const { cursor } of message.payload.data.workflowEvents.events) {
      const position = Number(cursor);
      if (this.received.has(position)) this.duplicated += 1;
      else if (position < this.#last) this.outOfOrder += 1;
      this.received.add(position);
      this.#last = Math.max(this.#last, position);
    }
    this.#position = Number(message.payload.extensions.cursor);
  }
}

/** @param {number} position */
export const cursorOf = (position) => String(position).padStart(16, "0");

/**
 * @param {WebSocket} socket
 * @param {object} message
 */
function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}
