// The parts of this benchmark, by the names that --only takes.

/**
 * @typedef {object} Scenario
 * @property {string} title
 * @property {number} instances that run at the same time
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

/** Workflows of tracking/driver whose steps are timed while they are followed. */
export const LANGUAGES = {
  followJavaScript: { title: "a step in JavaScript", binding: "JAVASCRIPT_BARE" },
  followPython: { title: "a step in Python", binding: "PYTHON_BARE" },
};

/** The largest ratio of a followed workflow's time to a bare one's. */
export const SLOWDOWN_TARGET = 1.1;

/** The counts of what following uses. */
export const COST = "followCost";
/** The most batches and rows for a workflow of five instant steps. */
export const COST_TARGETS = { batches: 5, rowsWritten: 100 };
