// The platform of a Durable Object, for modules of the Worker that run in Node: its storage in real SQLite,
// and the runtime's globals. It imitates the runtime only, and decides nothing else.

import { DatabaseSync } from "node:sqlite";

/** The bytes that workerd stores with a socket at most. */
export const MAX_ATTACHMENT_BYTES = 16 * 1024;

/** The storage of a Durable Object: SQLite and its alarm. */
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

  async deleteAlarm() {
    this.alarm = null;
  }
}

class Sql {
  database = new DatabaseSync(":memory:");

  /**
   * @param {string} sql several statements, if there are no parameters
   * @param {...any} parameters
   */
  exec(sql, ...parameters) {
    if (parameters.length === 0 && !sql.startsWith("SELECT")) {
      this.database.exec(sql);
      return new Rows([]);
    }
    const statement = this.database.prepare(sql);
    return new Rows(statement.all(...parameters));
  }

  close() {
    this.database.close();
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

  toArray() {
    return this.#rows;
  }

  raw() {
    return this.#rows.map((row) => Object.values(row)).values();
  }
}

/**
 * Install the globals of workerd that Node does not have.
 * @param {object} platform
 * @param {new () => object} platform.WebSocketPair
 * @param {() => Promise<void>} platform.wait
 */
export function installGlobals({ WebSocketPair, wait }) {
  Object.assign(globalThis, {
    WebSocketPair,
    scheduler: { wait },
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
}
