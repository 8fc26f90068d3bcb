// A Durable Object with sockets that record what is done to them (see platform.mjs).

import { deserialize, serialize } from "node:v8";
import { MAX_ATTACHMENT_BYTES, ObjectStorage, installGlobals as install } from "./platform.mjs";

/**
 * @typedef {["save" | "send" | "close" | "accept", socket: string, ...details: any[]]} Act what was done
 *   to a socket
 */

export class Socket {
  /** Makes sending fail, as for a socket whose client is gone. */
  isBroken = false;
  #history;
  /** @type {Buffer | undefined} */
  #attachment;

  /**
   * @param {string} name
   * @param {Act[]} history
   */
  constructor(name, history = []) {
    this.name = name;
    this.#history = history;
  }

  /** The socket for modules that expect the runtime's. */
  get webSocket() {
    return /** @type {WebSocket} */ (/** @type {unknown} */ (this));
  }

  /** The texts that were sent. */
  get sent() {
    return this.#history.filter(([act, name]) => act === "send" && name === this.name).map(last);
  }

  /** The code of the close; undefined while it is open. */
  get code() {
    return this.#history.find(([act, name]) => act === "close" && name === this.name)?.[2];
  }

  accept() {
    this.#history.push(["accept", this.name]);
  }

  /** @param {string} text */
  send(text) {
    if (this.isBroken) throw new Error("Network connection lost.");
    this.#history.push(["send", this.name, text]);
  }

  /** @param {number} code @param {string} reason */
  close(code, reason) {
    this.#history.push(["close", this.name, code, reason]);
  }

  /** @param {unknown} value */
  serializeAttachment(value) {
    const bytes = serialize(value);
    if (bytes.length > MAX_ATTACHMENT_BYTES) throw new Error("The attachment is too large.");
    this.#attachment = bytes;
    this.#history.push(["save", this.name, value]);
  }

  deserializeAttachment() {
    return this.#attachment && deserialize(this.#attachment);
  }
}

export class DurableObject {
  storage = new ObjectStorage();
  /** @type {Act[]} */
  history = [];
  /** @type {Socket[]} those that were accepted; sockets stay listed for a while after a close */
  sockets = [];
  /** @type {string[]} pairs that the runtime answers by itself */
  autoResponses = [];
  /** @type {Promise<unknown>[]} */
  #pending = [];

  /** The state for the object's constructor; everything in it survives an eviction. */
  get ctx() {
    const state = {
      id: { name: "shard-0" },
      storage: this.storage,
      acceptWebSocket: (/** @type {Socket} */ socket) => void this.sockets.push(socket),
      getWebSockets: () => [...this.sockets],
      setWebSocketAutoResponse: (/** @type {any} */ { request, response }) =>
        void this.autoResponses.push(request, response),
      waitUntil: (/** @type {Promise<unknown>} */ work) => void this.#pending.push(work),
    };
    return /** @type {DurableObjectState} */ (/** @type {unknown} */ (state));
  }

  get alarm() {
    return this.storage.alarm;
  }

  set alarm(at) {
    this.storage.alarm = at;
  }

  get database() {
    return this.storage.sql.database;
  }

  /** @param {string} name */
  newSocket(name) {
    return new Socket(name, this.history);
  }

  /** Wait for all that was handed to `waitUntil`. */
  async background() {
    while (this.#pending.length > 0) await this.#pending.shift();
  }

  /** @param {string} sql */
  rows(sql) {
    return this.database
      .prepare(sql)
      .all()
      .map((row) => Object.values(row));
  }
}

/** Install the platform's globals, with sockets of an object. */
export function installGlobals(/** @type {DurableObject} */ object) {
  let count = 0;
  install({
    wait: () => new Promise((done) => setImmediate(done)),
    WebSocketPair: class {
      constructor() {
        count += 1;
        return { 0: object.newSocket(`client ${count}`), 1: object.newSocket(`server ${count}`) };
      }
    },
  });
}

/** @param {any[]} values */
const last = (values) => values[values.length - 1];
