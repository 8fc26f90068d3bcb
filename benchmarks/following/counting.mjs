// Makes the service count what it uses. The counts cost time, so nothing is timed meanwhile.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/config.mjs";

const FOLDER = join(ROOT, "benchmarks", "following", "counting");
const ENTRYPOINT = "Counts";
/** The end of worker.py. */
const INSTALL = `
from counting.counting import Counts, count

count(FlowflareService, WorkflowFollower)
__all__ += ["Counts"]
`;

/**
 * Counts of the platform's use (see counters.mjs).
 * @typedef {object} Counts
 * @property {number} calls of the API over a service binding
 * @property {number} batches of D1
 * @property {number} rowsRead
 * @property {number} rowsWritten
 * @property {number} engineCalls including each wait for an event
 * @property {number} objects of the follower that were created, also after an eviction
 * @property {number} requests to them
 * @property {number} alarms that fired
 * @property {number} alarmsSet
 * @property {number} ownRows written to their SQLite
 * @property {number} openMs the time in which a history was open
 */

/**
 * @param {any} service in the form of `readWorker`
 * @returns {any} the same, with an entrypoint that responds with the counts
 */
export function counting(service) {
  const [main, ...modules] = service.modules;
  const added = [
    { type: "PythonModule", name: "counting.py" },
    { type: "ESModule", name: "counters.mjs" },
  ].map(({ type, name }) => ({
    type,
    path: join(service.modulesRoot, "counting", name),
    contents: readFileSync(join(FOLDER, name), "utf8"),
  }));
  return {
    ...service,
    modules: [{ ...main, contents: main.contents + INSTALL }, ...modules, ...added],
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, entrypoint: ENTRYPOINT }],
  };
}

/**
 * @param {any} miniflare
 * @param {string} service its name
 * @returns {Promise<Counts>}
 */
export async function readCounts(miniflare, service) {
  return (await fetch(await miniflare.unsafeGetDirectURL(service, ENTRYPOINT))).json();
}

/**
 * @param {Counts} before
 * @param {Counts} after
 * @returns {Counts} what was used in between
 */
export function difference(before, after) {
  const entries = Object.entries(after).map(([name, count]) => [
    name,
    count - before[/** @type {keyof Counts} */ (name)],
  ]);
  return /** @type {Counts} */ (Object.fromEntries(entries));
}
