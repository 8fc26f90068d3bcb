// A shard of the follower: the instances that it follows, and when each is due.
//
// A busy instance has an open history. It is closed while nothing can happen, and opened again when the
// instance is due: when a sleep ends, after a while if nothing is known, or soon if an eviction has closed it.

import { env as bindings } from "cloudflare:workers";
import { History } from "./history.mjs";
import { begin, record, settings } from "./python.mjs";

/**
 * @typedef {{ workflow: string, binding: string, id: string }} Instance
 *
 * @typedef {object} Reading the reading of an instance's history
 * @property {Promise<void>} done
 * @property {boolean} isAsked true if the instance was to be followed once more meanwhile
 * @property {boolean} toEnd true if it is about to end
 */

/** @type {Record<string, any>} */
const env = bindings;

const TABLE = `
  CREATE TABLE IF NOT EXISTS instances (
    workflow TEXT NOT NULL, id TEXT NOT NULL, binding TEXT NOT NULL, due INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workflow, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS instances_by_due ON instances (due);
`;

export class Follower {
  #storage;
  #sql;
  /** @type {Map<string, Reading>} of the instances whose history is open */
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
   * @param {boolean} [toEnd] true to wait until the end is recorded
   */
  async follow(instance, toEnd) {
    this.#store(instance, watchTime());
    const reading = this.#start(instance, true);
    reading.toEnd ||= toEnd ?? false;
    await this.#setAlarm();
    if (toEnd) await reading.done;
  }

  /** Read the histories that are due, and those that an eviction has closed. */
  async onAlarm() {
    const due = this.#sql.exec(
      "UPDATE instances SET due = ? WHERE due <= ? RETURNING workflow, binding, id",
      watchTime(),
      Date.now(),
    );
    for (const row of due.toArray()) this.#start(/** @type {any} */ (row), false);
    await this.#setAlarm();
  }

  /** The followed instances, JSON text. */
  status() {
    const rows = this.#sql.exec(
      "SELECT workflow, id, due, failures FROM instances ORDER BY workflow, id",
    );
    return JSON.stringify(
      rows
        .toArray()
        .map((row) => ({ ...row, isOpen: this.#open.has(keyOf(/** @type {any} */ (row))) })),
    );
  }

  /**
   * Start to read the history of an instance, unless it is open.
   * @param {Instance} instance
   * @param {boolean} isAsked
   * @returns {Reading}
   */
  #start(instance, isAsked) {
    const key = keyOf(instance);
    const open = this.#open.get(key);
    if (open) {
      open.isAsked ||= isAsked;
      return open;
    }
    /** @type {Reading} */
    const reading = { done: Promise.resolve(), isAsked: false, toEnd: false };
    this.#open.set(key, reading);
    reading.done = this.#readUntilDue(instance, reading).finally(() => {
      this.#open.delete(key);
      return this.#setAlarm();
    });
    return reading;
  }

  /**
   * @param {Instance} instance
   * @param {Reading} reading
   */
  async #readUntilDue(instance, reading) {
    do {
      reading.isAsked = false;
      try {
        const due = await this.#read(instance);
        if (due === undefined) return this.#forget(instance);
        this.#store(instance, due);
      } catch (error) {
        // A report may be about an instance that the engine does not have, or no longer has.
        if (isMissing(error)) return this.#forget(instance);
        this.#fails(instance, error);
        // The engine closes the histories of an instance that it terminates. One that restarts needs
        // a moment.
        if (!reading.toEnd) return;
        reading.toEnd = false;
        reading.isAsked = true;
      }
    } while (reading.isAsked);
  }

  /**
   * Read later, after a time that doubles with each failure in turn.
   * @param {Instance} instance
   * @param {unknown} error
   */
  #fails({ workflow, id }, error) {
    console.warn(`The history of ${id} of ${workflow} was not read: ${error}`);
    this.#sql.exec(
      "UPDATE instances SET failures = failures + 1, due = ? + min(?, ? << min(failures, 20))" +
        " WHERE workflow = ? AND id = ?",
      Date.now(),
      settings.maxRetryMs,
      settings.retryMs,
      workflow,
      id,
    );
  }

  /**
   * Read and record the history of an instance until nothing comes for a while.
   * @param {Instance} instance
   * @returns {Promise<number | undefined>} when it is due again; undefined if it has ended
   */
  async #read({ workflow, binding, id }) {
    let isSearch = false;
    for (;;) {
      const { reading, after, ended } = await begin(workflow, id, isSearch);
      if (ended) return undefined;
      const history = await History.open(env[binding], id, after);
      try {
        const { again, search, due } = await recordAll(history, reading);
        if (!again) return due;
        isSearch = search ?? false;
      } finally {
        history.close();
      }
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

  /** Have the alarm fire when the next instance is due. */
  async #setAlarm() {
    const { due } = this.#sql.exec("SELECT min(due) AS due FROM instances").one();
    if (due === null) return this.#storage.deleteAlarm();
    await this.#storage.setAlarm(Math.max(Number(due), Date.now()));
  }
}

/**
 * Record a history until Python decides otherwise.
 * @param {History} history
 * @param {number} reading
 */
async function recordAll(history, reading) {
  for (;;) {
    let { events, isOver } = await history.read();
    do {
      const course = await record(reading, events, isOver);
      const { next } = course;
      if (next === undefined) return course;
      events = events.filter((event) => event.id > next);
    } while (events.length > 0);
  }
}

/**
 * True if the engine does not have the instance.
 * @param {unknown} error
 */
function isMissing(error) {
  return new RegExp(settings.commands.engine.noInstance).test(String(error));
}

/** When an instance whose history is open is due: the alarm is the same for all. */
function watchTime() {
  return (Math.floor(Date.now() / settings.watchMs) + 2) * settings.watchMs;
}

/** @param {Instance} instance */
const keyOf = ({ workflow, id }) => JSON.stringify([workflow, id]);
