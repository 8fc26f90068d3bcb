// The numbers of instances that run at the same time.

/**
 * @typedef {object} Scenario
 * @property {string} title
 * @property {number} instances
 * @property {number} rounds how often they run
 * @property {number} target the longest median, in milliseconds
 */

/** @type {Record<string, Scenario>} */
export const SCENARIOS = {
  follow1: { title: "one instance", instances: 1, rounds: 8, target: 60 },
  follow20: { title: "20 instances at once", instances: 20, rounds: 2, target: 120 },
  follow100: { title: "100 instances at once", instances: 100, rounds: 2, target: 500 },
  follow200: { title: "200 instances at once", instances: 200, rounds: 2, target: 600 },
};
