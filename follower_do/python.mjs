// The function and settings of Python that JavaScript uses, installed once for each isolate.

import { configure, newExecution, runTask } from "../resolvers/runtime/commands.mjs";

/**
 * Python's decision after a job (see Follower in following/follower.py).
 * @typedef {{ reading?: number, after?: number, hasBegun?: boolean, next?: boolean, waitMs?: number, again?: boolean,
 *   isAlone?: boolean, due?: number, forget?: boolean, error?: string }} Course
 *
 * @typedef {object} Settings
 * @property {import("./history.mjs").Limits} history
 * @property {number} startMs the time until the history of a new instance is opened
 * @property {number} openMs the time until a history is open
 * @property {number} watchMs the time after which the alarm opens histories that an eviction has closed
 * @property {number} retryMs the time after a failure; it doubles with each failure in turn
 * @property {number} maxRetryMs the longest of these times
 * @property {number} open the most histories that are open at once
 * @property {number} statements the most statements of one invocation
 * @property {number} eventStatements the most statements of one event
 * @property {number} partStatements the most statements of a part beside those of its events
 * @property {number} batchBytes the most bytes of the values of one batch, unless it has only one part
 * @property {import("../resolvers/runtime/commands.mjs").Settings} commands
 */

/**
 * @type {{ work: (jobs: string, nowMs: number) => string,
 *   resume: (task: number, result: string) => string }}
 */
let python;
/** @type {Settings} */
export let settings;

/**
 * @param {string} text the settings, JSON
 * @param {typeof python.work} doWork
 * @param {typeof python.resume} resume
 */
export function install(text, doWork, resume) {
  settings = JSON.parse(text);
  python = { work: doWork, resume };
  // This isolate may serve nothing else.
  configure(settings.commands);
}

/**
 * Do jobs in one batch of D1.
 * @param {string[]} jobs each JSON text
 * @returns {Promise<{ courses: Course[], cost: import("../resolvers/runtime/batches.mjs").Execution }>}
 */
export async function work(jobs) {
  const cost = newExecution();
  const begin = () => python.work(`[${jobs.join(",")}]`, Date.now());
  return { courses: await runTask({ begin, resume: python.resume }, cost), cost };
}
