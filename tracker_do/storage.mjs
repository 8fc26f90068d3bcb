// What a shard keeps where eviction does not reach: the sockets' attachments and SQLite.

/**
 * What is known of a socket (`Connection` in protocol.py). The streams are by their clients' ids.
 * @typedef {object} State
 * @property {Record<string, any>} [who] once it was let in
 * @property {number} [until] till then: when it must have been, milliseconds since 1970
 * @property {boolean} [bound] till then: whether it is let in without a key
 * @property {Map<string, [feed: string, place: import("./subscribers.mjs").Place]>} streams
 * @property {number} [pingedAt] when it was asked how far it has read, until it has answered,
 *   milliseconds since 1970
 * @property {string[]} running what is being executed; not stored, for it ends with the object
 */

/**
 * A state as JSON text, its streams as pairs.
 * @param {State} state
 * @param {object} [more] members beside it
 */
export function stateText({ streams, ...state }, more) {
  return JSON.stringify({ ...state, streams: [...streams], ...more });
}

/**
 * A state from what `stateText` or Python wrote.
 * @param {any} written parsed
 * @returns {State}
 */
export function stateOf({ streams, ...state }) {
  return { ...state, streams: new Map(streams) };
}

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

  /** How many rounds have failed since the last one that did not. */
  get failures() {
    this.#failures ??= Number(this.#sql.exec("SELECT count FROM failures").one().count);
    return this.#failures;
  }

  set failures(count) {
    if (count === this.failures) return;
    this.#failures = count;
    this.#sql.exec("UPDATE failures SET count = ?", count);
  }

  /** @param {string[]} feed its digest, and what it is made from, the document with its digest */
  rememberFeed([digest, documentDigest, document, rest]) {
    const insert = "INSERT INTO documents VALUES (?, ?) ON CONFLICT DO NOTHING";
    this.#sql.exec(insert, documentDigest, document);
    const follow = "INSERT INTO feeds VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    this.#sql.exec(follow, digest, documentDigest, rest);
  }

  /**
   * What feeds are made from, for those that are there.
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

  /** @param {string} digest of a feed that nobody follows */
  forgetFeed(digest) {
    this.#sql.exec("DELETE FROM feeds WHERE digest = ?", digest);
    this.#forgetDocuments();
  }

  /** @param {Iterable<string>} digests of the feeds to keep */
  keepFeeds(digests) {
    this.#sql.exec(
      "DELETE FROM feeds WHERE digest NOT IN (SELECT value FROM json_each(?))",
      JSON.stringify([...digests]),
    );
    this.#forgetDocuments();
  }

  #forgetDocuments() {
    this.#sql.exec("DELETE FROM documents WHERE digest NOT IN (SELECT document FROM feeds)");
  }

  /**
   * What was saved of a socket.
   * @param {WebSocket} socket
   * @returns {{ state: State, position?: number }}
   */
  load(socket) {
    let text = socket.deserializeAttachment();
    if (!text.startsWith("{")) {
      this.#overflowed.set(socket, text);
      text = this.#sql.exec("SELECT state FROM attachments WHERE key = ?", text).one().state;
    }
    const { position, ...state } = JSON.parse(text);
    return { state: { ...stateOf(/** @type {any} */ (state)), running: [] }, position };
  }

  /**
   * @param {WebSocket} socket
   * @param {State} state
   * @param {number} [position] of the shard, where the socket keeps it
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
   * What was stored of a socket beside its attachment is not needed any more.
   * @param {WebSocket} socket
   */
  discard(socket) {
    const key = this.#overflowed.get(socket);
    if (key === undefined) return;
    this.#overflowed.delete(socket);
    this.#sql.exec("DELETE FROM attachments WHERE key = ?", key);
  }

  /** All sockets that are open have been loaded: what is stored of others is not needed. */
  keepLoaded() {
    this.#sql.exec(
      "DELETE FROM attachments WHERE key NOT IN (SELECT value FROM json_each(?))",
      JSON.stringify([...this.#overflowed.values()]),
    );
  }
}
