// Python's side of the follower, for modules of the Worker that run in Node.

import { install } from "../../follower_do/python.mjs";
import { VALUES } from "./values.mjs";

const SETTINGS = {
  history: {
    events: 100,
    bytes: 1_000_000,
    values: VALUES,
    errorCharacters: 1_000,
    ahead: 2,
    calls: 1_000,
    pauseMs: 5,
    partMs: 30,
    beginMs: 30,
  },
  startMs: 0,
  openMs: 30,
  watchMs: 1_000,
  retryMs: 100,
  maxRetryMs: 350,
  open: 10,
  statements: 100,
  eventStatements: 3,
  partStatements: 10,
  batchBytes: 1_000,
  commands: {
    batches: { textBytes: 1_000_000, tooBig: "too big" },
    engine: {
      finished: [],
      hasOutput: "",
      hasError: "",
      leadsTo: {},
      noInstance: "^$",
      exists: "^$",
      values: VALUES,
    },
    notifications: {
      storeHead: "",
      selectShards: "",
      readFailed: "^$",
      writeStatements: 0,
      characters: 0,
    },
  },
};

/**
 * Install settings, and a function in place of Python's. It gets a job and returns its course.
 * @param {Partial<typeof SETTINGS>} [settings]
 * @param {(job: any) => object} [work]
 */
export function installFollower(settings, work = () => ({ forget: true })) {
  install(
    JSON.stringify({ ...SETTINGS, ...settings }),
    (jobs) => {
      const failure = JSON.parse(jobs).find((/** @type {any} */ { broken }) => broken);
      if (failure) throw new Error(failure.broken);
      return JSON.stringify({ done: JSON.parse(jobs).map(work) });
    },
    () => "",
  );
}

/** Limits of a reader. */
export const HISTORY = SETTINGS.history;
