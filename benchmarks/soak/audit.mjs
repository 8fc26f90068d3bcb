// Compares what a phase has written and delivered with the log, and prints the result.

import { formatTable } from "../report.mjs";
import { readLog } from "./log.mjs";

const DELIVERY_DEADLINE_MS = 30_000;
const POLL_MS = 50;
const MIB = 2 ** 20;

/**
 * @typedef {import("./log.mjs").LogClient} LogClient
 * @typedef {import("./log.mjs").Writer} Writer
 * @typedef {import("./subscriber.mjs").Subscriber} Subscriber
 *
 * @typedef {object} Topic a workflow with its only writers, and subscribers to all of its events
 * @property {string} workflow
 * @property {Writer[]} writers
 * @property {Subscriber[]} subscribers
 *
 * @typedef {object} Audit
 * @property {number} written events whose writes were confirmed
 * @property {number} unlogged such events that are not in the log
 * @property {number} delivered
 * @property {number} lost events of the log that a subscriber did not receive
 * @property {number} duplicated
 * @property {number} outOfOrder
 * @property {string[]} errors
 */

/**
 * Wait until the subscribers have received all events of the log, and compare.
 * @param {LogClient} client
 * @param {Topic[]} topics
 * @param {number} after the last position before the phase
 * @returns {Promise<Audit>}
 */
export async function auditTopics(client, topics, after) {
  /** @type {Audit} */
  const audit = {
    ...{ written: 0, unlogged: 0, delivered: 0, lost: 0, duplicated: 0, outOfOrder: 0, errors: [] },
  };
  for (const { workflow, writers, subscribers } of topics) {
    const log = await readLog(client, workflow, after);
    for (const { written, confirmed } of writers) {
      audit.written += written;
      audit.unlogged += confirmed.filter(([at, id]) => log.get(at) !== id).length;
    }
    const missing = subscribers.map((subscriber) => missingCounter(subscriber, log));
    await waitUntil(() => missing.every((count) => count() === 0));
    subscribers.forEach((subscriber, index) => {
      audit.delivered += subscriber.received.size;
      audit.lost += missing[index]();
      audit.duplicated += subscriber.duplicated;
      audit.outOfOrder += subscriber.outOfOrder;
      audit.errors.push(...subscriber.errors);
    });
  }
  return audit;
}

/**
 * @param {Subscriber} subscriber
 * @param {Map<number, string>} log
 * @returns {() => number} counts the events that the subscriber has not received yet
 */
function missingCounter({ received, after }, log) {
  const expected = [...log.keys()].filter((position) => position > after);
  return () =>
    received.size >= expected.length && expected.every((position) => received.has(position))
      ? 0
      : expected.filter((position) => !received.has(position)).length;
}

/** @param {() => boolean} isDone */
async function waitUntil(isDone) {
  const deadline = performance.now() + DELIVERY_DEADLINE_MS;
  while (!isDone() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * @typedef {object} Outcome of a phase
 * @property {string} title
 * @property {Audit} audit
 * @property {Map<number, number>} closes number of sockets closed by the server, by code
 * @property {{ before: number, peak: number, after: number }} bytes resident
 * @property {number} seconds
 * @property {string} note
 */

/** @param {Outcome} outcome @returns {boolean} true if nothing was lost, duplicated or out of order */
export function isPassed({ audit: { unlogged, lost, duplicated, outOfOrder, errors } }) {
  return unlogged + lost + duplicated + outOfOrder + errors.length === 0;
}

/**
 * @param {Outcome[]} outcomes
 * @returns {string}
 */
export function table(outcomes) {
  const rows = outcomes.map(({ title, audit, closes, bytes, seconds }) => [
    title,
    ...[audit.written, audit.unlogged, audit.delivered].map(String),
    ...[audit.lost, audit.duplicated, audit.outOfOrder].map(String),
    [...closes].map(([code, count]) => `${code} × ${count}`).join(", ") || "none",
    ...[bytes.before, bytes.peak, bytes.after].map((size) => (size / MIB).toFixed(0)),
    seconds.toFixed(0),
  ]);
  const headings = [
    ...["phase", "written", "not logged", "delivered", "lost", "duplicated", "out of order"],
    ...["closed with", "MiB before", "peak", "after", "seconds"],
  ];
  return formatTable([headings, ...rows], [0, 7]);
}
