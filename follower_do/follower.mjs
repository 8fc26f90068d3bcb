// A shard of the follower: the instances that it follows, and when each is due.
//
// A busy instance has an open history, and its time in `due` is past. The history is closed while nothing
// can happen, and opened again when the instance is due: when a sleep ends, after a while if nothing is
// known, or soon if an eviction has closed it.

import { env as bindings } from "cloudflare:workers";
import { within } from "./timing.mjs";
import { settings } from "./python.mjs";
import { Recorder } from "./recorder.mjs";

/**
 * @typedef {{ workflow: string, binding: string, id: string }} Instance
 * @typedef {import("./python.mjs").Course} Course
 *
 * @typedef {object} Reading the reading of an instance's history
 * @property {Promise<void>} done
 * @property {boolean} isAsked true if the instance was to be followed once more meanwhile
 * @property {boolean} toEnd true if it is about to end
 * @property {boolean} isAlone true if its next part must be a batch of its own
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
  #exports;
  #recorder;
  /** True if parts wait for the next invocation, which may have more statements. */
  #isSpent = false;
  /** The time for which the alarm is set, as far as is known. */
  #alarm = Infinity;
  /** @type {Map<string, Reading>} of the instances whose history is open */
  #open = new Map();

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#storage = ctx.storage;
    this.#sql = ctx.storage.sql;
    this.#exports = /** @type {any} */ (ctx).exports;
    this.#sql.exec(TABLE);
    this.#recorder = new Recorder(() => {
      this.#isSpent = true;
      this.#setAlarm();
    });
  }

  /**
   * Follow an instance to its end; one that is followed is read at once.
   * @param {Instance} instance
   * @param {boolean} [toEnd] true to wait until the end is recorded
   */
  async follow(instance, toEnd) {
    // Steps that take no time are over then, and are recorded at once without holding up the engine.
    const delayMs = toEnd || this.#isKnown(instance) ? 0 : settings.startMs;
    this.#store(instance, Date.now());
    const reading = this.#start(instance, true, delayMs);
    if (reading) reading.toEnd ||= toEnd ?? false;
    await this.#setAlarm();
    if (toEnd) await reading?.done;
  }

  /** Read the histories that are due, and those that an eviction has closed. */
  async onAlarm() {
    this.#isSpent = false;
    this.#alarm = Infinity;
    if (!(Number(env.FOLLOWER_SHARDS) >= 1)) {
      // Following was switched off.
      this.#sql.exec("DELETE FROM instances");
      return;
    }
    this.#recorder.beginInvocation();
    const due = this.#sql.exec(
      "SELECT workflow, binding, id FROM instances WHERE due <= ? ORDER BY due LIMIT ?",
      Date.now(),
      2 * settings.open,
    );
    for (const row of due.toArray()) this.#start(/** @type {any} */ (row), false);
    await this.#setAlarm();
  }

  /** The followed instances and what following them has cost since the object was created; JSON text. */
  status() {
    const rows = this.#sql
      .exec("SELECT workflow, id, due, failures FROM instances ORDER BY workflow, id")
      .toArray();
    const instances = rows.map((row) => ({
      ...row,
      isOpen: this.#open.has(keyOf(/** @type {any} */ (row))),
    }));
    return JSON.stringify({ instances, cost: this.#recorder.cost });
  }

  /**
   * Start to read the history of an instance, unless it is open, or too many are.
   * @param {Instance} instance
   * @param {boolean} isAsked
   * @param {number} [delayMs]
   * @returns {Reading | undefined}
   */
  #start(instance, isAsked, delayMs = 0) {
    const key = keyOf(instance);
    const open = this.#open.get(key);
    if (open) {
      open.isAsked ||= isAsked;
      return open;
    }
    if (this.#open.size >= settings.open) return undefined;
    /** @type {Reading} */
    const reading = { done: Promise.resolve(), isAsked: false, toEnd: false, isAlone: false };
    this.#open.set(key, reading);
    reading.done = this.#readUntilDue(instance, reading, delayMs).finally(() => {
      this.#open.delete(key);
      return this.#setAlarm();
    });
    return reading;
  }

  /**
   * @param {Instance} instance
   * @param {Reading} reading
   * @param {number} delayMs
   */
  async #readUntilDue(instance, reading, delayMs) {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    do {
      reading.isAsked = false;
      try {
        const { forget, due = 0 } = await this.#read(instance, reading);
        if (forget) this.#forget(instance);
        else this.#store(instance, due);
      } catch (error) {
        await this.#fails(instance, error);
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
  async #fails(instance, error) {
    const { workflow, id } = instance;
    // Of an error of Python's, the last line.
    const message = `${error}`.trimEnd().split("\n").at(-1) ?? "";
    console.warn(`The history of ${id} of ${workflow} was not read: ${message}`);
    const [row] = this.#sql
      .exec(
        "UPDATE instances SET failures = failures + 1, due = ? + min(?, ? << min(failures, 20))" +
          " WHERE workflow = ? AND id = ? RETURNING failures",
        Date.now(),
        settings.maxRetryMs,
        settings.retryMs,
        workflow,
        id,
      )
      .toArray();
    if (!row) return;
    try {
      const { forget } = await this.#recorder.fail(workflow, id, Number(row.failures), message);
      if (forget) this.#forget(instance);
    } catch (worse) {
      console.warn(`Nor could that be recorded: ${worse}`);
    }
  }

  /**
   * Read and record the history of an instance until nothing comes for a while.
   * @param {Instance} instance
   * @param {Reading} reading
   * @returns {Promise<Course>} with `due` or `forget`
   */
  async #read({ workflow, binding, id }, reading) {
    for (;;) {
      const beginning = await this.#recorder.begin(workflow, id);
      if (beginning.again) continue;
      if (beginning.reading === undefined) return beginning;
      const history = await this.#openHistory(binding, id, beginning.after ?? 0);
      try {
        const course = await this.#recordAll(history, beginning, reading);
        if (!course.again) return course;
        reading.isAlone = course.isAlone ?? false;
      } finally {
        close(history);
      }
    }
  }

  /**
   * @param {string} binding
   * @param {string} id
   * @param {number} after
   */
  async #openHistory(binding, id, after) {
    const limits = JSON.stringify(settings.history);
    const opening = this.#exports.WorkflowHistories.open(binding, id, after, limits);
    // While an instance restarts, this call may never return.
    const history = await within(settings.openMs, opening);
    if (history) return history;
    opening.then(close, () => {});
    throw new Error(`the engine did not open it within ${settings.openMs} ms`);
  }

  /**
   * Record a history until Python decides otherwise.
   * @param {any} history
   * @param {Course} beginning
   * @param {Reading} reading
   * @returns {Promise<Course>}
   */
  async #recordAll(history, { reading: number = 0, hasBegun }, reading) {
    let began = hasBegun ? await history.began() : undefined;
    let waitMs = settings.openMs;
    for (;;) {
      const part = await history.read(waitMs);
      if (part.isSpent) return { again: true };
      const { isAlone } = reading;
      const course = await this.#recorder.record(number, part, { began, isAlone });
      if (!course.next) return course;
      reading.isAlone = false;
      began = undefined;
      waitMs = course.waitMs ?? 0;
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
  #isKnown({ workflow, id }) {
    const rows = this.#sql.exec(
      "SELECT 1 FROM instances WHERE workflow = ? AND id = ?",
      workflow,
      id,
    );
    return rows.toArray().length > 0;
  }

  /** @param {Instance} instance */
  #forget({ workflow, id }) {
    this.#sql.exec("DELETE FROM instances WHERE workflow = ? AND id = ?", workflow, id);
  }

  /**
   * Have the alarm fire when the next instance is due, or parts wait for another invocation. An alarm that
   * is set for an earlier time is left, because setting one costs a row.
   */
  async #setAlarm() {
    const now = Date.now();
    const time = Math.max(this.#isSpent ? 0 : this.#nextDue(now), now);
    if (time >= this.#alarm) return;
    this.#alarm = time;
    await this.#storage.setAlarm(time);
  }

  /** @param {number} now */
  #nextDue(now) {
    // Those whose histories are open are overdue. Others that are, wait until one of these is closed.
    const from = this.#open.size > 0 ? now : 0;
    const { due } = this.#sql
      .exec("SELECT min(due) AS due FROM instances WHERE due > ?", from)
      .one();
    const watch = this.#open.size > 0 ? now + settings.watchMs : Infinity;
    return Math.min(Number(due ?? Infinity), watch);
  }
}

/**
 * Close a reader, which the disposal alone does not (workerd 1.20261117.1, 2026-11-27).
 * @param {any} history
 */
async function close(history) {
  try {
    await history.close();
  } catch {
    // It has ended with an error.
  } finally {
    history[/** @type {any} */ (Symbol).dispose]();
  }
}

/** @param {Instance} instance */
const keyOf = ({ workflow, id }) => JSON.stringify([workflow, id]);
