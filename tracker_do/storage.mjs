// What a shard stores where it survives eviction: the sockets' attachments and SQLite.

import { stateOf, stateText } from "./connection_state.mjs";

/** @typedef {import("./connection_state.mjs").ConnectionState} ConnectionState */

const TABLES = `
  CREATE TABLE IF NOT EXISTS failures (
    id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL
  ) STRICT;
  INSERT INTO failures VALUES (1, 0) ON CONFLICT DO NOTHING;
  CREATE TABLE IF NOT EXISTS documents (
    digest TEXT PRIMARY KEY, document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS feeds (
    digest TEXT PRIMARY KEY, document TEXT NOT NULL, rest TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS attachments (key TEXT PRIMARY KEY, state TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
`;

export class Storage {
  #sql;
  /** @type {number | undefined} */
  #failures;
  /** @type {Map<WebSocket, string>} keys of the attachments that were too large */
  #overflowed = new Map();

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#sql = ctx.storage.sql;
    this.#sql.exec(TABLES);
  }

  /** The number of polls that have failed since the last one that did not. */
  get failures() {
    this.#failures ??= Number(this.#sql.exec("SELECT count FROM failures").one().count);
    return this.#failures;
  }

  set failures(count) {
    if (count === this.failures) return;
    this.#failures = count;
    this.#sql.exec("UPDATE failures SET count = ?", count);
  }

  /**
   * Store the definition of a subscription plan.
   * @param {string[]} row digest of the plan, digest of the document, document, rest
   */
  storeDefinition([digest, documentDigest, document, rest]) {
    const insertDocument = "INSERT INTO documents VALUES (?, ?) ON CONFLICT DO NOTHING";
    this.#sql.exec(insertDocument, documentDigest, document);
    const insertPlan = "INSERT INTO feeds VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    this.#sql.exec(insertPlan, digest, documentDigest, rest);
  }

  /**
   * Read the definitions of subscription plans, of those that are stored.
   * @param {string[]} digests
   * @returns {Record<string, [document: string, rest: string]>} by digest
   */
  definitions(digests) {
    const rows = this.#sql.exec(
      `SELECT f.digest, d.document, f.rest FROM feeds f JOIN documents d ON d.digest = f.document
       WHERE f.digest IN (SELECT value FROM json_each(?))`,
      JSON.stringify(digests),
    );
    return Object.fromEntries(Array.from(rows.raw(), ([digest, ...made]) => [digest, made]));
  }

  /** @param {string} digest of a plan without subscribers */
  deleteDefinition(digest) {
    this.#sql.exec("DELETE FROM feeds WHERE digest = ?", digest);
    this.#deleteUnusedDocuments();
  }

  /** @param {Iterable<string>} digests of the plans whose definitions stay; the others are deleted */
  keepDefinitions(digests) {
    this.#sql.exec(
      "DELETE FROM feeds WHERE digest NOT IN (SELECT value FROM json_each(?))",
      JSON.stringify([...digests]),
    );
    this.#deleteUnusedDocuments();
  }

  #deleteUnusedDocuments() {
    this.#sql.exec("DELETE FROM documents WHERE digest NOT IN (SELECT document FROM feeds)");
  }

  /**
   * Load the state of a connection, and the live position if its socket keeps it.
   * @param {WebSocket} socket
   * @returns {{ state: ConnectionState, position?: number }}
   */
  load(socket) {
    let text = socket.deserializeAttachment();
    if (!text.startsWith("{")) {
      this.#overflowed.set(socket, text);
      text = this.#sql.exec("SELECT state FROM attachments WHERE key = ?", text).one().state;
    }
    const { position, ...written } = JSON.parse(text);
    return { state: stateOf(written), position };
  }

  /**
   * Save the state of a connection.
   * @param {WebSocket} socket
   * @param {ConnectionState} state
   * @param {number} [position] the live position, if the socket keeps it
   */
  save(socket, state, position) {
    const text = stateText(state, { running: undefined, position });
    try {
      socket.serializeAttachment(text);
      this.discard(socket);
    } catch {
      // More than 16 KiB: the attachment is the key of a row instead.
      const key = this.#overflowed.get(socket) ?? crypto.randomUUID();
      this.#overflowed.set(socket, key);
      this.#sql.exec("INSERT OR REPLACE INTO attachments VALUES (?, ?)", key, text);
      socket.serializeAttachment(key);
    }
  }

  /**
   * Delete what was stored of a socket beside its attachment.
   * @param {WebSocket} socket
   */
  discard(socket) {
    const key = this.#overflowed.get(socket);
    if (key === undefined) return;
    this.#overflowed.delete(socket);
    this.#sql.exec("DELETE FROM attachments WHERE key = ?", key);
  }

  /** Delete what was stored of sockets that are gone; the open ones have all been loaded. */
  keepAttachments() {
    this.#sql.exec(
      "DELETE FROM attachments WHERE key NOT IN (SELECT value FROM json_each(?))",
      JSON.stringify([...this.#overflowed.values()]),
    );
  }
}
