// Hibernating WebSockets with both ends, and a Durable Object that is evicted and wakes (see platform.mjs).

import { serialize } from "node:v8";
import { MAX_ATTACHMENT_BYTES, installGlobals } from "./platform.mjs";

/** @typedef {import("./platform.mjs").ObjectStorage} ObjectStorage */

/** A WebSocket with both ends: what outlives the object's eviction, and what the client does. */
export class Wire {
  /** @type {unknown} */
  attachment;
  /** @type {string[]} texts that the client has not read yet */
  unread = [];
  /** @type {[code: number, reason: string] | undefined} the server's close */
  closed;
  /** True if the client reads, and so answers pings. */
  isReading = true;
  /** @type {(text: string) => void} called before the server sends a text */
  onSend = () => {};
  server = new ServerSocket(this);

  /** The object is evicted: it wakes with another socket, and the one it had is of no use. */
  hibernate() {
    this.server.isEvicted = true;
    this.server = new ServerSocket(this);
  }
}

/** The object's end of a WebSocket. */
class ServerSocket {
  isEvicted = false;
  wire;

  /** @param {Wire} wire */
  constructor(wire) {
    this.wire = wire;
  }

  accept() {}

  /** @param {string} text */
  send(text) {
    this.#refuseEvicted();
    if (this.wire.closed) throw new Error("Can't call WebSocket send() after close().");
    this.wire.onSend(text);
    this.wire.unread.push(text);
  }

  /**
   * @param {number} code
   * @param {string} [reason]
   */
  close(code, reason = "") {
    this.#refuseEvicted();
    this.wire.closed ??= [code, reason];
  }

  /** @param {unknown} value */
  serializeAttachment(value) {
    this.#refuseEvicted();
    if (serialize(value).byteLength > MAX_ATTACHMENT_BYTES) throw new Error("attachment too large");
    this.wire.attachment = value;
  }

  deserializeAttachment() {
    return this.wire.attachment;
  }

  #refuseEvicted() {
    if (this.isEvicted) throw new Error("an object that was evicted uses a socket");
  }
}

/** A `DurableObjectState`, from one start of the object to its eviction. */
export class State {
  #wires;
  #onFailure;
  id;
  storage;
  /** @type {{ request: string, response: string } | undefined} */
  autoResponse;

  /**
   * @param {string} name
   * @param {ObjectStorage} storage
   * @param {Set<Wire>} wires that are open
   * @param {(error: unknown) => void} onFailure of work that is not waited for
   */
  constructor(name, storage, wires, onFailure) {
    this.id = { name };
    this.storage = storage;
    this.#wires = wires;
    this.#onFailure = onFailure;
  }

  /** @param {ServerSocket} socket */
  acceptWebSocket(socket) {
    this.#wires.add(socket.wire);
  }

  getWebSockets() {
    return Array.from(this.#wires, ({ server }) => server);
  }

  /** @param {{ request: string, response: string }} pair */
  setWebSocketAutoResponse(pair) {
    this.autoResponse = pair;
  }

  /** @param {Promise<unknown>} work */
  waitUntil(work) {
    work.catch(this.#onFailure);
  }
}

let timers = 0;

/** True while something waits for a turn of the event loop. */
export const hasTimers = () => timers > 0;

/** Wait for the event loop's next turn, before which all promises that can be are resolved. */
export async function nextTurn() {
  timers += 1;
  await new Promise((resolve) => setImmediate(resolve));
  timers -= 1;
}

installGlobals({
  wait: nextTurn,
  WebSocketPair: class {
    /** @type {Wire} */
    client;
    /** @type {ServerSocket} */
    server;

    constructor() {
      this.client = new Wire();
      this.server = this.client.server;
    }
  },
});
