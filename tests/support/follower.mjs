// Python's side of the follower, for modules of the Worker that run in Node.

import { install } from "../../follower_do/python.mjs";
import { VALUES } from "./values.mjs";

const SETTINGS = {
  events: 100,
  bytes: 1_000_000,
  values: VALUES,
  lingerMs: 5,
  openMs: 30,
  quietMs: 30,
  watchMs: 1_000,
  retryMs: 100,
  maxRetryMs: 350,
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
 * Install settings, and functions in place of Python's.
 * @param {Partial<typeof SETTINGS>} [settings]
 * @param {{ begin?: (workflow: string, id: string, search: boolean) => object,
 *   record?: (reading: number, events: any[], isOver: boolean) => object }} [python]
 */
export function installFollower(settings, { begin, record } = {}) {
  const done = (/** @type {unknown} */ result) => JSON.stringify({ done: result });
  install(
    JSON.stringify({ ...SETTINGS, ...settings }),
    (workflow, id, search) => done(begin?.(workflow, id, search)),
    (reading, events, isOver) => done(record?.(reading, JSON.parse(events), isOver)),
    () => "",
  );
}
