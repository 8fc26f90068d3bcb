// The scenarios of the fan-out: numbers of sockets, selections and events.

/**
 * @typedef {object} Scenario
 * @property {string} title as the table shows it
 * @property {number} sockets
 * @property {number} selections number of distinct documents they subscribe with
 * @property {number} events per publish
 * @property {number} rounds number of publishes to time
 * @property {Partial<Record<import("./servers.mjs").ServerName, number>>} [targets] the highest
 *   acceptable ratio of our median to another side's
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

/** The name that --only takes for the memory of idle sockets. */
export const MEMORY = "memory";
export const IDLE_SOCKETS = 2_000;
