// Parses the command line of run.mjs.

import { parseArgs } from "node:util";
import { MEMORY, SCENARIOS } from "./fanout/scenarios.mjs";
import { isServer } from "./fanout/servers.mjs";
import { FOLLOWING } from "./following/run.mjs";
import { OPERATIONS } from "./operations.mjs";
import { isSide } from "./sides.mjs";
import { LANGUAGES } from "./tracking/run.mjs";

const REQUESTS = 600;
const MAX_REQUESTS = 100_000;
const MAX_ROUNDS = 10_000;

const FAN_OUT = [...Object.keys(SCENARIOS), MEMORY];
const TRACKING = /** @type {import("./tracking/run.mjs").Language[]} */ (Object.keys(LANGUAGES));
const ALL = [...Object.keys(OPERATIONS), ...FAN_OUT, ...TRACKING, ...FOLLOWING];

/**
 * Parse a whole number from 1 to `max`.
 * @param {string} option
 * @param {string} text
 * @param {number} max
 */
function parseCount(option, text, max) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > max) {
    throw new Error(`--${option} must be a whole number from 1 to ${max}, not ${text}.`);
  }
  return number;
}

/** Parse the command line; throws an Error that names the wrong option. */
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
    if (!ALL.includes(name)) {
      throw new Error(`--only must be one of ${ALL.join(", ")}, not ${name}.`);
    }
  }
  for (const name of values.side) {
    if (!isSide(name) && !isServer(name)) {
      throw new Error(`--side must be ours, yoga, tracker, gws or floor, not ${name}.`);
    }
  }
  return {
    // Reads come before writes, after which the times of instances differ between the sides.
    operations: Object.keys(OPERATIONS).filter((name) => values.only.includes(name)),
    fanOut: values.only.filter((name) => FAN_OUT.includes(name)),
    tracking: TRACKING.filter((name) => values.only.includes(name)),
    following: FOLLOWING.filter((name) => values.only.includes(name)),
    sides: values.side.filter(isSide),
    servers: values.side.filter(isServer),
    requests: parseCount("requests", values.requests, MAX_REQUESTS),
    rounds: values.rounds ? parseCount("rounds", values.rounds, MAX_ROUNDS) : undefined,
    checkTargets: values["check-targets"],
  };
}
