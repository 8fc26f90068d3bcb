// The command line of run.mjs.

import { parseArgs } from "node:util";
import { MEMORY, SCENARIOS } from "./fanout/scenarios.mjs";
import { isServer } from "./fanout/servers.mjs";
import { OPERATIONS } from "./operations.mjs";
import { isSide } from "./sides.mjs";
import { LANGUAGES } from "./tracking/run.mjs";

const REQUESTS = 600;
const MAX_REQUESTS = 100_000;
const MAX_ROUNDS = 10_000;

const ON_SOCKETS = [...Object.keys(SCENARIOS), MEMORY];
const TRACKING = /** @type {import("./tracking/run.mjs").Language[]} */ (Object.keys(LANGUAGES));
const ALL = [...Object.keys(OPERATIONS), ...ON_SOCKETS, ...TRACKING];

/**
 * A whole number from 1.
 * @param {string} option
 * @param {string} text
 * @param {number} most
 */
function count(option, text, most) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > most) {
    throw new Error(`--${option} takes a number from 1 to ${most}.`);
  }
  return number;
}

/** What is asked for; throws an Error that says what is wrong with an option. */
export function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: ALL },
      side: {
        type: "string",
        multiple: true,
        default: ["ours", "yoga", "tracker", "gws", "floor"],
      },
      requests: { type: "string", default: String(REQUESTS) },
      rounds: { type: "string" },
      "check-targets": { type: "boolean", default: false },
    },
  });
  for (const name of values.only) {
    if (!ALL.includes(name)) throw new Error(`--only takes ${ALL.join(", ")}; not ${name}.`);
  }
  if (!values.side.every((name) => isSide(name) || isServer(name))) {
    throw new Error("--side takes ours, yoga, tracker, gws or floor.");
  }
  return {
    // Reads before writes, which leave each side's instances with instants of their own.
    operations: Object.keys(OPERATIONS).filter((name) => values.only.includes(name)),
    onSockets: values.only.filter((name) => ON_SOCKETS.includes(name)),
    tracking: TRACKING.filter((name) => values.only.includes(name)),
    sides: values.side.filter(isSide),
    servers: values.side.filter(isServer),
    requests: count("requests", values.requests, MAX_REQUESTS),
    rounds: values.rounds ? count("rounds", values.rounds, MAX_ROUNDS) : undefined,
    checkTargets: values["check-targets"],
  };
}
