// A shard of the follower: the instances that it follows, and when each is due.
//
// A busy instance has an open history. It is closed when nothing has come for a while. The alarm opens it
// again when a sleep ends, after a while if nothing is known, and soon after an eviction has closed it.

import { env as bindings } from "cloudflare:workers";
import { History } from "./history.mjs";
import { begin, record, settings } from "./python.mjs";

/**
 * @typedef {{ workflow: string, binding: string, id: string }} Instance
 * @typedef {number | null} Due when an instance is due again, null if it has ended
 */

/** @type {Record<string, any>} */
const env = bindings;

const TABLE = `
  CREATE TABLE IF NOT EXISTS instances (
    workflow TEXT NOT NULL, id TEXT NOT NULL, binding TEXT NOT NULL, due INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workflow, id)
  ) STRICT, WITHOUT ROWID;
`;

export class Follower {
  #storage;
  #sql;
  /** @type {Map<string, Instance>} those whose history is open */
  #open = new Map();

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#storage = ctx.storage;
    this.#sql = ctx.storage.sql;
    this.#sql.exec(TABLE);
  }

  /**
   * Follow an instance to its end; one that is followed is read at once.
   * @param {Instance} instance
   */
  async follow(instance) {
    this.#store(instance, 0);
    this.#start(instance);
    await this.#watch();
  }

  /** Read on with all instances that are due. */
  async onAlarm() {
    const due = this.#sql.exec(
      "SELECT workflow, binding, id FROM instances WHERE due <= ?",
      Date.now(),
    );
    for (const row of due.toArray()) this.#start(/** @type {any} */ (row));
    await this.#watch();
  }

  /** The followed instances, JSON text. */
  status() {
    const rows = this.#sql.exec("SELECT workflow, id, due FROM instances ORDER BY workflow, id");
    return JSON.stringify(
      rows
        .toArray()
        .map((row) => ({ ...row, isOpen: this.#open.has(keyOf(/** @type {any} */ (row))) })),
    );
  }

  /** @param {Instance} instance */
  #start(instance) {
    const key = keyOf(instance);
    if (this.#open.has(key)) return;
    this.#open.set(key, instance);
    this.#read(instance)
      .then(
        (due) => (due === null ? this.#forget(instance) : this.#store(instance, due)),
        (error) => this.#fails(instance, error),
      )
      .finally(() => {
        this.#open.delete(key);
        return this.#watch();
      });
  }

  /**
   * Read on later, after a time that doubles with each failure in turn.
   * @param {Instance} instance
   * @param {unknown} error
   */
  #fails({ workflow, id }, error) {
    console.warn(`The history of ${id} of ${workflow} was not read: ${error}`);
    this.#sql.exec(
      "UPDATE instances SET failures = failures + 1, due = ? + min(?, ? << min(failures, 20))" +
        " WHERE workflow = ? AND id = ?",
      Date.now(),
      settings.restMs,
      settings.retryMs,
      workflow,
      id,
    );
  }

  /**
   * Read and record the history of an instance until nothing comes for a while.
   * @param {Instance} instance
   * @returns {Promise<Due>}
   */
  async #read({ workflow, binding, id }) {
    for (;;) {
      const { next = 0, gone } = await begin(workflow, id);
      if (gone) return null;
      // From the last recorded event on: if it is another one now, the history has begun again.
      const history = await History.open(env[binding], id, Math.max(0, next - 1));
      try {
        const outcome = await this.#recordAll(history, workflow, id, next);
        if (outcome !== "again") return outcome;
      } finally {
        history.close();
      }
    }
  }

  /**
   * @param {History} history
   * @param {string} workflow
   * @param {string} id
   * @param {number} next the number of the last recorded event
   * @returns {Promise<Due | "again">} "again" to open the history again
   */
  async #recordAll(history, workflow, id, next) {
    let overlaps = next > 0;
    /** @type {number | null | undefined} */
    let until;
    for (;;) {
      let { events, isOver } = await history.read();
      if (events.length === 0 && !overlaps) {
        // A history that is over without an end was cut off by a restart.
        if (isOver) return Date.now() + settings.retryMs;
        return until ?? Date.now() + settings.restMs;
      }
      do {
        const course = await record(workflow, id, events, overlaps);
        if (course.gone || course.ended) return null;
        if (course.again) return "again";
        if (course.later) return Date.now() + settings.retryMs;
        overlaps = false;
        until = course.until;
        const last = course.next ?? 0;
        events = events.filter((event) => event.id > last);
      } while (events.length > 0);
    }
  }

  /**
   * @param {Instance} instance
   * @param {number} due
   */
  #store({ workflow, binding, id }, due) {
    this.#sql.exec(
      "INSERT INTO instances (workflow, id, binding, due) VALUES (?, ?, ?, ?) ON CONFLICT" +
        " DO UPDATE SET binding = excluded.binding, due = excluded.due, failures = 0",
      workflow,
      id,
      binding,
      Math.ceil(due),
    );
  }

  /** @param {Instance} instance */
  #forget({ workflow, id }) {
    this.#sql.exec("DELETE FROM instances WHERE workflow = ? AND id = ?", workflow, id);
  }

  /** Have the alarm fire when the next instance is due, and soon while a history is open. */
  async #watch() {
    const { due } = this.#sql.exec("SELECT min(due) AS due FROM instances").one();
    if (due === null) return this.#storage.deleteAlarm();
    const soon = Date.now() + settings.watchMs;
    await this.#storage.setAlarm(this.#open.size > 0 ? soon : Math.max(Number(due), Date.now()));
  }
}

/** @param {Instance} instance */
const keyOf = ({ workflow, id }) => JSON.stringify([workflow, id]);
