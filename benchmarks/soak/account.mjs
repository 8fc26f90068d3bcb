// The figures of a phase: those of its writers and subscribers, compared with the log.

import { layOut } from "../report.mjs";
import { logged } from "./log.mjs";

const ARRIVAL_DEADLINE_MS = 30_000;
const POLL_MS = 50;
const MIB = 2 ** 20;

/**
 * @typedef {import("./log.mjs").Caller} Caller
 * @typedef {import("./log.mjs").Writer} Writer
 * @typedef {import("./subscriber.mjs").Subscriber} Subscriber
 *
 * @typedef {object} Following subscribers of one workflow, who are to get all of its events
 * @property {string} workflow
 * @property {Writer[]} writers who write all there is of it
 * @property {Subscriber[]} subscribers
 *
 * @typedef {object} Account
 * @property {number} written events whose writes were confirmed
 * @property {number} unlogged such events that are not in the log
 * @property {number} delivered
 * @property {number} lost events of the log that a subscriber did not get
 * @property {number} doubled
 * @property {number} disordered
 * @property {string[]} faults
 */

/**
 * Wait until the subscribers have what the log has, and compare.
 * @param {Caller} caller
 * @param {Following[]} followings
 * @param {number} after where the phase began
 * @returns {Promise<Account>}
 */
export async function accountOf(caller, followings, after) {
  /** @type {Account} */
  const account = {
    ...{ written: 0, unlogged: 0, delivered: 0, lost: 0, doubled: 0, disordered: 0, faults: [] },
  };
  for (const { workflow, writers, subscribers } of followings) {
    const log = await logged(caller, workflow, after);
    for (const { written, confirmed } of writers) {
      account.written += written;
      account.unlogged += confirmed.filter(([at, id]) => log.get(at) !== id).length;
    }
    const expected = subscribers.map((subscriber) => missing(subscriber, log));
    await arrival(() => expected.every((count) => count() === 0));
    subscribers.forEach((subscriber, index) => {
      account.delivered += subscriber.seen.size;
      account.lost += expected[index]();
      account.doubled += subscriber.doubled;
      account.disordered += subscriber.disordered;
      account.faults.push(...subscriber.faults);
    });
  }
  return account;
}

/**
 * @param {Subscriber} subscriber
 * @param {Map<number, string>} log
 * @returns {() => number} how many events it lacks
 */
function missing({ seen, after }, log) {
  const wanted = [...log.keys()].filter((position) => position > after);
  return () =>
    seen.size >= wanted.length && wanted.every((position) => seen.has(position))
      ? 0
      : wanted.filter((position) => !seen.has(position)).length;
}

/** @param {() => boolean} isDone */
async function arrival(isDone) {
  const deadline = performance.now() + ARRIVAL_DEADLINE_MS;
  while (!isDone() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * @typedef {object} Outcome of a phase
 * @property {string} title
 * @property {Account} account
 * @property {Map<number, number>} closes how often the server closed, by code
 * @property {{ before: number, peak: number, after: number }} bytes resident
 * @property {number} seconds
 * @property {string} note
 */

/** @param {Outcome} outcome @returns {boolean} true if nothing was lost, doubled or out of order */
export function isSound({ account: { unlogged, lost, doubled, disordered, faults } }) {
  return unlogged + lost + doubled + disordered + faults.length === 0;
}

/**
 * @param {Outcome[]} outcomes
 * @returns {string}
 */
export function table(outcomes) {
  const rows = outcomes.map(({ title, account, closes, bytes, seconds }) => [
    title,
    ...[account.written, account.unlogged, account.delivered].map(String),
    ...[account.lost, account.doubled, account.disordered].map(String),
    [...closes].map(([code, count]) => `${code} × ${count}`).join(", ") || "none",
    ...[bytes.before, bytes.peak, bytes.after].map((size) => (size / MIB).toFixed(0)),
    seconds.toFixed(0),
  ]);
  const headings = [
    ...["phase", "written", "not logged", "delivered", "lost", "doubled", "out of order"],
    ...["closed with", "MiB before", "peak", "after", "seconds"],
  ];
  return layOut([headings, ...rows], [0, 7]);
}
