// The platform of a Durable Object, for modules of the tracker that run in Node: its storage in real
// SQLite, its alarm, and sockets that record what is done to them.

import { DatabaseSync } from "node:sqlite";
import { deserialize, serialize } from "node:v8";

/** Of workerd, per socket. */
const MAX_ATTACHMENT_BYTES = 16 * 1024;

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
  database = new DatabaseSync(":memory:");
  /** @type {number | null} */
  alarm = null;
  /** @type {Act[]} */
  history = [];
  /** @type {Socket[]} those that were accepted; sockets stay listed for a while after a close */
  sockets = [];
  /** @type {string[]} pairs that the runtime answers by itself */
  autoResponses = [];
  /** @type {Promise<unknown>[]} */
  #pending = [];

  /** What the object's constructor is given; everything in it survives an eviction. */
  get ctx() {
    const state = {
      id: { name: "shard-0" },
      storage: {
        sql: { exec: this.#exec.bind(this) },
        getAlarm: async () => this.alarm,
        setAlarm: async (/** @type {number} */ at) => void (this.alarm = at),
      },
      acceptWebSocket: (/** @type {Socket} */ socket) => void this.sockets.push(socket),
      getWebSockets: () => [...this.sockets],
      setWebSocketAutoResponse: (/** @type {any} */ { request, response }) =>
        void this.autoResponses.push(request, response),
      waitUntil: (/** @type {Promise<unknown>} */ work) => void this.#pending.push(work),
    };
    return /** @type {DurableObjectState} */ (/** @type {unknown} */ (state));
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

  /** @param {string} sql @param {any[]} values */
  #exec(sql, ...values) {
    if (values.length === 0 && sql.trim().includes(";\n")) {
      this.database.exec(sql);
      return undefined;
    }
    const rows = this.database.prepare(sql).all(...values);
    return {
      one() {
        if (rows.length !== 1) throw new Error(`Expected exactly one row, got ${rows.length}.`);
        return rows[0];
      },
      raw: () => rows.map((row) => Object.values(row)).values(),
    };
  }
}

/** The platform's globals, with sockets of an object. */
export function installGlobals(/** @type {DurableObject} */ object) {
  let count = 0;
  Object.assign(globalThis, {
    WebSocketPair: class {
      constructor() {
        count += 1;
        return { 0: object.newSocket(`client ${count}`), 1: object.newSocket(`server ${count}`) };
      }
    },
    WebSocketRequestResponsePair: class {
      /** @param {string} request @param {string} response */
      constructor(request, response) {
        Object.assign(this, { request, response });
      }
    },
    // Node's takes no 101.
    Response: class {
      /** @param {null} _ @param {object} options */
      constructor(_, options) {
        Object.assign(this, options);
      }
    },
    scheduler: { wait: () => new Promise((done) => setImmediate(done)) },
  });
}

/** @param {any[]} values */
const last = (values) => values[values.length - 1];
