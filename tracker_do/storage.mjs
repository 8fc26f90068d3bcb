// What a shard keeps where eviction does not reach: the sockets' attachments and SQLite.

/**
 * What is known of a socket (`Connection` in protocol.py), as JSON.
 * @typedef {object} State
 * @property {Record<string, any>} [who] once it was let in
 * @property {number} [until] till then: when it must have been, milliseconds since 1970
 * @property {boolean} [bound] till then: whether it is let in without a key
 * @property {Record<string, [feed: string, place: import("./members.mjs").Place]>} streams
 * @property {string[]} running what is being executed; not stored, for it ends with the object
 *
 * @typedef {{ position: number, failures: number }} Progress
 */

const TABLES = `
  CREATE TABLE IF NOT EXISTS progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    failures INTEGER NOT NULL
  ) STRICT;
  INSERT INTO progress VALUES (1, 0, 0) ON CONFLICT DO NOTHING;
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
  /** @type {Progress | undefined} */
  #progress;
  /** @type {Map<WebSocket, string>} keys of the attachments that were too large */
  #overflowed = new Map();

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#sql = ctx.storage.sql;
    this.#sql.exec(TABLES);
  }

  /** @returns {Progress} */
  get progress() {
    this.#progress ??= /** @type {any} */ (
      this.#sql.exec("SELECT position, failures FROM progress").one()
    );
    return /** @type {Progress} */ (this.#progress);
  }

  /** @param {Partial<Progress>} changes */
  advance(changes) {
    const before = this.progress;
    const { position, failures } = { ...before, ...changes };
    if (position === before.position && failures === before.failures) return;
    this.#progress = { position, failures };
    this.#sql.exec("UPDATE progress SET position = ?, failures = ?", position, failures);
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
   * @returns {Record<string, [document: string, rest: string]>}
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
   * @param {WebSocket} socket
   * @returns {State}
   */
  load(socket) {
    let text = socket.deserializeAttachment();
    if (!text.startsWith("{")) {
      this.#overflowed.set(socket, text);
      text = this.#sql.exec("SELECT state FROM attachments WHERE key = ?", text).one().state;
    }
    return { ...JSON.parse(text), running: [] };
  }

  /**
   * @param {WebSocket} socket
   * @param {State} state
   */
  save(socket, { running: _, ...state }) {
    const text = JSON.stringify(state);
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
