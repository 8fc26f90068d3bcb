// What is measured: to how many sockets, with how many selections, and how many events at once.

/**
 * @typedef {object} Scenario
 * @property {string} title as the table shows it
 * @property {number} sockets
 * @property {number} selections how many distinct documents they subscribe with
 * @property {number} events of one publish
 * @property {number} rounds how many publishes are timed
 * @property {Partial<Record<import("./servers.mjs").ServerName, number>>} [targets] what our
 *   median should not exceed, as a ratio to another side's
 */

/** @type {Record<string, Scenario>} */
export const SCENARIOS = {
  sockets100: { title: "last of 100 sockets", sockets: 100, selections: 1, events: 1, rounds: 40 },
  sockets500: { title: "last of 500 sockets", sockets: 500, selections: 1, events: 1, rounds: 30 },
  sockets1000: {
    title: "last of 1,000 sockets",
    sockets: 1_000,
    selections: 1,
    events: 1,
    rounds: 80,
    targets: { gws: 0.6, floor: 1.2 },
  },
  selections50: {
    title: "the same, 50 distinct selections",
    sockets: 1_000,
    selections: 50,
    events: 1,
    rounds: 30,
  },
  burst: {
    title: "burst of 500 events to 200 sockets",
    sockets: 200,
    selections: 1,
    events: 500,
    rounds: 6,
  },
};

/** The name that asks for memory per idle socket, and of how many it is taken. */
export const MEMORY = "memory";
export const IDLE_SOCKETS = 2_000;
