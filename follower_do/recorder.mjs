// Records parts of the histories of a shard: all that have come while a batch of D1 was under way are the
// next batch.

import { work, settings } from "./python.mjs";

/**
 * @typedef {import("./python.mjs").Course} Course
 *
 * @typedef {object} Waiting
 * @property {string} job JSON text
 * @property {number} statements at most, that the job needs
 * @property {number} bytes
 * @property {boolean} isAlone true if it must be a batch of its own, because its last one failed
 * @property {(course: Course) => void} resolve
 * @property {(error: unknown) => void} reject
 */

export class Recorder {
  #endInvocation;
  /** @type {Waiting[]} */
  #waiting = [];
  #isRunning = false;
  // D1 allows an invocation so many statements (see MAX_FOLLOW_STATEMENTS).
  #left = settings.statements;
  cost = {
    batches: 0,
    statements: 0,
    rowsRead: 0,
    rowsWritten: 0,
    largestBatch: 0,
    largestInvocation: 0,
    mostBytes: 0,
    invocations: 0,
  };

  /** @param {() => void} endInvocation has `beginInvocation` called by the next invocation */
  constructor(endInvocation) {
    this.#endInvocation = endInvocation;
  }

  /**
   * Begin to read the history of an instance.
   * @param {string} workflow
   * @param {string} id
   */
  begin(workflow, id) {
    return this.#add({ begin: [workflow, id] }, { statements: 1 });
  }

  /**
   * Record a part of a history.
   * @param {number} reading
   * @param {import("./history.mjs").Part} part
   * @param {{ began: number | null | undefined, isAlone: boolean }} of
   */
  record(reading, { events, count, bytes, isOver }, { began, isAlone }) {
    const statements = settings.eventStatements * count + settings.partStatements;
    const job = { record: reading, events, isOver, began: began ?? null };
    return this.#add(job, { statements, bytes, isAlone });
  }

  /**
   * Decide how to go on after a failure.
   * @param {string} workflow
   * @param {string} id
   * @param {number} failures in turn
   * @param {string} message
   */
  fail(workflow, id, failures, message) {
    return this.#add({ fail: [workflow, id], failures, message }, { statements: 1 });
  }

  /** The statements of earlier invocations no longer count. */
  beginInvocation() {
    this.#left = settings.statements;
    this.cost.invocations += 1;
    this.#run();
  }

  /**
   * @param {object} job
   * @param {{ statements: number, bytes?: number, isAlone?: boolean }} needs
   * @returns {Promise<Course>}
   */
  #add(job, { statements, bytes = 0, isAlone = false }) {
    return new Promise((resolve, reject) => {
      const text = JSON.stringify(job);
      this.#waiting.push({ job: text, statements, bytes, isAlone, resolve, reject });
      this.#run();
    });
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // What comes at the same time goes together.
    await undefined;
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      if (batch.length === 0) {
        this.#endInvocation();
        break;
      }
      await this.#perform(batch);
    }
    this.#isRunning = false;
  }

  /** The jobs of the next batch; none if this invocation has no statements left for the first. */
  #take() {
    let left = this.#left;
    let bytes = settings.batchBytes;
    let count = 0;
    for (const next of this.#waiting) {
      const isFirst = count === 0;
      if (next.statements > left || (!isFirst && (next.isAlone || next.bytes > bytes))) break;
      left -= next.statements;
      bytes -= next.bytes;
      count += 1;
      if (next.isAlone) break;
    }
    return this.#waiting.splice(0, count);
  }

  /** @param {Waiting[]} batch */
  async #perform(batch) {
    try {
      const { courses, cost } = await work(batch.map(({ job }) => job));
      this.#left -= cost.statements;
      this.cost.batches += cost.roundTrips;
      this.cost.statements += cost.statements;
      this.cost.rowsRead += cost.rowsRead;
      this.cost.rowsWritten += cost.rowsWritten;
      const bytes = batch.reduce((sum, job) => sum + job.bytes, 0);
      this.cost.largestBatch = Math.max(this.cost.largestBatch, cost.statements);
      this.cost.largestInvocation = Math.max(
        this.cost.largestInvocation,
        settings.statements - this.#left,
      );
      this.cost.mostBytes = Math.max(this.cost.mostBytes, bytes);
      for (const [index, { resolve, reject }] of batch.entries()) {
        const { error } = courses[index];
        if (error === undefined) resolve(courses[index]);
        else reject(new Error(error));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
