// The functions and settings of Python that JavaScript uses, installed once for each isolate.

import { newExecution, runTask } from "../resolvers/runtime/commands.mjs";

/**
 * How to go on with a history (see Follower.record in following/follower.py).
 * @typedef {{ next?: number, ended?: boolean, until?: number | null, again?: boolean,
 *   later?: boolean, gone?: boolean }} Course
 *
 * @typedef {object} Settings
 * @property {number} events the most events of one part of a history
 * @property {number} bytes the most bytes of their values
 * @property {number} valueBytes the most bytes of one value
 * @property {number} lingerMs the time that a part waits for further events
 * @property {number} quietMs the time without events after which a history is closed
 * @property {number} restMs the time after which a closed one is read again, if nothing is known
 * @property {number} watchMs the time after which the alarm opens histories that an eviction has closed
 * @property {number} retryMs the time after a failure
 */

/**
 * @type {{ begin: (workflow: string, id: string) => string,
 *   record: (workflow: string, id: string, events: string, overlaps: boolean) => string,
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
}

/**
 * @param {string} workflow
 * @param {string} id
 * @returns {Promise<Course>}
 */
export const begin = (workflow, id) => run(() => python.begin(workflow, id));

/**
 * @param {string} workflow
 * @param {string} id
 * @param {unknown[]} events
 * @param {boolean} overlaps
 * @returns {Promise<Course>}
 */
export const record = (workflow, id, events, overlaps) =>
  run(() => python.record(workflow, id, JSON.stringify(events), overlaps));

/** @param {() => string} start */
const run = (start) => runTask({ begin: start, resume: python.resume }, newExecution());
