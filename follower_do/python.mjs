// The functions and settings of Python that JavaScript uses, installed once for each isolate.

import { configure, newExecution, runTask } from "../resolvers/runtime/commands.mjs";

/**
 * Python's decision after each part of a history (see Follower in following/follower.py).
 * @typedef {{ reading: number, after: number, ended?: boolean }} Beginning
 * @typedef {{ next?: number, again?: boolean, search?: boolean, due?: number,
 *   ended?: boolean }} Course
 *
 * @typedef {object} Settings
 * @property {number} events the most events of one part of a history
 * @property {number} bytes the most bytes of their values
 * @property {import("../resolvers/runtime/values.mjs").Limits} values
 * @property {number} lingerMs the time that a part waits for further events
 * @property {number} openMs the time until a history is open, and until its first event
 * @property {number} quietMs the time without events after which Python decides how to go on
 * @property {number} watchMs the time after which the alarm opens histories that an eviction has closed
 * @property {number} retryMs the time after a failure; it doubles with each failure in turn
 * @property {number} maxRetryMs the longest of these times
 * @property {import("../resolvers/runtime/commands.mjs").Settings} commands
 */

/**
 * @type {{ begin: (workflow: string, id: string, search: boolean) => string,
 *   record: (reading: number, events: string, isOver: boolean, nowMs: number) => string,
 *   resume: (task: number, result: string) => string }}
 */
let python;
/** @type {Settings} */
export let settings;

/**
 * @param {string} text the settings, JSON
 * @param {typeof python.begin} begin
 * @param {typeof python.record} record
 * @param {typeof python.resume} resume
 */
export function install(text, begin, record, resume) {
  settings = JSON.parse(text);
  python = { begin, record, resume };
  // This isolate may serve nothing else.
  configure(settings.commands);
}

/**
 * @param {string} workflow
 * @param {string} id
 * @param {boolean} search
 * @returns {Promise<Beginning>}
 */
export const begin = (workflow, id, search) => run(() => python.begin(workflow, id, search));

/**
 * @param {number} reading
 * @param {import("./history.mjs").HistoryEvent[]} events
 * @param {boolean} isOver
 * @returns {Promise<Course>}
 */
export const record = (reading, events, isOver) =>
  run(() => python.record(reading, JSON.stringify(events), isOver, Date.now()));

/** @param {() => string} start */
const run = (start) => runTask({ begin: start, resume: python.resume }, newExecution());
