// A subscriber that keeps an account of what it gets, and comes back with its cursor.

import { WebSocket } from "ws";
import { KEY } from "../workers.mjs";

const AGAIN_MS = 200;

/** @typedef {{ query: string, variables: Record<string, unknown> }} Payload */

export class Subscriber {
  /** @type {Set<number>} positions in the log of the events it has */
  seen = new Set();
  doubled = 0;
  disordered = 0;
  /** @type {string[]} messages that it should not have got */
  faults = [];
  /** The position of its last page; moves over what its filter leaves out, too. */
  reached;
  #last;
  #url;
  #payload;
  #closes;
  /** @type {WebSocket | undefined} */
  #socket;
  #isLeaving = false;
  #isStalled = false;

  /**
   * @param {URL} url of the server
   * @param {Payload} payload
   * @param {{ after: number, closes: Map<number, number> }} options where to begin, and where to
   *   count the codes with which the server closes
   */
  constructor(url, payload, { after, closes }) {
    /** Where it began. */
    this.after = after;
    this.#url = new URL("/graphql", url.href.replace("http", "ws"));
    this.#payload = payload;
    this.#closes = closes;
    this.reached = this.#last = after;
  }

  /** Connect and subscribe; again whenever the connection is lost. Resolves once it is let in. */
  open() {
    const socket = new WebSocket(this.#url, ["graphql-transport-ws"], { perMessageDeflate: false });
    this.#socket = socket;
    return new Promise((resolve) => {
      let wasOpen = false;
      socket.on("open", () => {
        wasOpen = true;
        send(socket, { type: "connection_init", payload: { authorization: `Bearer ${KEY}` } });
      });
      // An error is followed by a close, which says why.
      socket.on("error", () => {});
      socket.on("message", (data) => {
        if (socket !== this.#socket) return;
        const message = JSON.parse(data.toString());
        if (message.type === "connection_ack") {
          const extensions = { after: cursorOf(this.reached) };
          send(socket, { type: "subscribe", id: "1", payload: { ...this.#payload, extensions } });
          resolve(undefined);
        } else this.#receive(socket, message);
      });
      socket.on("close", (code) => {
        if (socket !== this.#socket || this.#isLeaving) return resolve(undefined);
        if (wasOpen) this.#closes.set(code, (this.#closes.get(code) ?? 0) + 1);
        if (this.#isStalled) return resolve(undefined);
        setTimeout(() => resolve(this.#isLeaving ? undefined : this.open()), AGAIN_MS);
      });
    });
  }

  /** Lose the connection, and come back at once. */
  drop() {
    const lost = this.#socket;
    const back = this.open();
    lost?.terminate();
    return back;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Take nothing more from the network: what the server sends stays with it. */
  stall() {
    this.#isStalled = true;
    this.#socket?.pause();
  }

  /** Go on, without an account of what comes. */
  resume() {
    this.#socket?.removeAllListeners("message");
    this.#socket?.resume();
  }

  leave() {
    this.#isLeaving = true;
    this.#socket?.terminate();
  }

  /**
   * @param {WebSocket} socket
   * @param {any} message
   */
  #receive(socket, message) {
    if (message.type === "ping") return send(socket, { type: "pong" });
    if (message.type !== "next" || message.payload.errors) {
      return void this.faults.push(JSON.stringify(message).slice(0, 500));
    }
    for (const { cursor } of message.payload.data.workflowEvents.events) {
      const position = Number(cursor);
      if (this.seen.has(position)) this.doubled += 1;
      else if (position < this.#last) this.disordered += 1;
      this.seen.add(position);
      this.#last = Math.max(this.#last, position);
    }
    this.reached = Number(message.payload.extensions.cursor);
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
