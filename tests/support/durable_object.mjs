// The platform of a Durable Object with hibernating WebSockets, for modules of the Worker that run in
// Node: storage, sockets and globals. It imitates the runtime only, and decides nothing else.

import { DatabaseSync } from "node:sqlite";
import { serialize } from "node:v8";

const MAX_ATTACHMENT_BYTES = 16 * 1024;

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

/** What a Durable Object stores: SQLite and its alarm. */
export class ObjectStorage {
  /** @type {number | null} when the alarm is due */
  alarm = null;
  sql = new Sql();

  async getAlarm() {
    return this.alarm;
  }

  /** @param {number} at */
  async setAlarm(at) {
    this.alarm = at;
  }
}

class Sql {
  #database = new DatabaseSync(":memory:");

  /**
   * @param {string} sql several statements, if there are no parameters
   * @param {...any} parameters
   */
  exec(sql, ...parameters) {
    if (parameters.length === 0 && !sql.startsWith("SELECT")) {
      this.#database.exec(sql);
      return new Rows([]);
    }
    const statement = this.#database.prepare(sql);
    return new Rows(statement.all(...parameters));
  }

  close() {
    this.#database.close();
  }
}

class Rows {
  #rows;

  /** @param {Record<string, any>[]} rows */
  constructor(rows) {
    this.#rows = rows;
  }

  one() {
    if (this.#rows.length !== 1) throw new Error(`${this.#rows.length} rows, not one`);
    return this.#rows[0];
  }

  raw() {
    return this.#rows.map((row) => Object.values(row));
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

Object.assign(globalThis, {
  scheduler: { wait: nextTurn },
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
  WebSocketRequestResponsePair: class {
    /**
     * @param {string} request
     * @param {string} response
     */
    constructor(request, response) {
      Object.assign(this, { request, response });
    }
  },
  // Node's takes no 101.
  Response: class {
    /**
     * @param {null} _
     * @param {object} options
     */
    constructor(_, options) {
      Object.assign(this, options);
    }
  },
});
