// Measures Flowflare beside its peers: `make bench ARGS="…"`. See README.md here.
//
//   node benchmarks/run.mjs [--only OPERATION]… [--side SIDE]… [--requests N] [--check-targets]
//
// With one side nothing is compared: that is for profiling. Exits with 1 when an answer is
// wrong, never for being slow, unless --check-targets is given.

import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { WrongAnswer, compare, measure, time } from "./measure.mjs";
import { OPERATIONS } from "./operations.mjs";
import { missedTargets, save, summarise, table } from "./report.mjs";
import { Side, isSide } from "./sides.mjs";
import { quantile, randomNumbers } from "./statistics.mjs";

const REQUESTS = 600;
const MAX_REQUESTS = 100_000;
const PROFILE_WARM_UP = 200;
const BUSY = 1.0;

/** The command line's options; throws an Error that says what is wrong with one. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: Object.keys(OPERATIONS) },
      side: { type: "string", multiple: true, default: ["ours", "yoga", "floor"] },
      requests: { type: "string", default: String(REQUESTS) },
      "check-targets": { type: "boolean", default: false },
    },
  });
  for (const name of values.only) {
    if (!Object.hasOwn(OPERATIONS, name)) {
      throw new Error(`--only takes ${Object.keys(OPERATIONS).join(", ")}; not ${name}.`);
    }
  }
  const sides = values.side.filter(isSide);
  if (sides.length < values.side.length) throw new Error("--side takes ours, yoga or floor.");
  const requests = Number(values.requests);
  if (!Number.isInteger(requests) || requests < 1 || requests > MAX_REQUESTS) {
    throw new Error(`--requests takes a number from 1 to ${MAX_REQUESTS}.`);
  }
  return { only: values.only, sides, requests, checkTargets: values["check-targets"] };
}

/**
 * Only one side, as fast as it goes.
 * @param {Side} side
 * @param {string[]} names
 * @param {number} requests
 */
async function profile(side, names, requests) {
  for (const name of names) {
    await time(side, OPERATIONS[name], PROFILE_WARM_UP);
    const times = await time(side, OPERATIONS[name], requests);
    const [median, p95] = [0.5, 0.95].map((fraction) => quantile(times, fraction).toFixed(3));
    console.log(`${name}: ${requests} requests, median ${median} ms, p95 ${p95} ms`);
  }
}

/**
 * All sides in turn.
 * @param {Side[]} sides
 * @param {string[]} names
 * @param {number} requests
 */
async function race(sides, names, requests) {
  const random = randomNumbers(20261122);
  /** @type {Record<string, import("./report.mjs").Result>} */
  const results = {};
  for (const name of names) {
    const operation = OPERATIONS[name];
    const able = sides.filter((side) => side.name !== "floor" || operation.hasFloor);
    const costs = await compare(operation, able);
    const samples = await measure(operation, able, { requests, random });
    results[name] = summarise(operation, samples, costs, random);
    console.log(`${operation.title}: done`);
  }
  console.log(`\n${table(Object.values(results))}\n\nWritten to ${await save(results)}`);
  return Object.values(results);
}

async function main() {
  const { only, sides: names, requests, checkTargets } = readArguments();
  if (loadavg()[0] > BUSY) {
    console.log(`The machine is busy (load ${loadavg()[0].toFixed(1)}); the figures will be too.`);
  }
  /** @type {Side[]} */
  const sides = [];
  try {
    for (const name of names) {
      console.log(`Starting ${name} …`);
      sides.push(await Side.start(name));
    }
    if (sides.length === 1) return await profile(sides[0], only, requests);
    const missed = missedTargets(await race(sides, only, requests));
    if (checkTargets && missed.length > 0) {
      console.error(`Over target: ${missed.map(({ title }) => title).join("; ")}`);
      process.exitCode = 1;
    }
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}

main().catch((error) => {
  const kind = error instanceof WrongAnswer ? "Wrong answer" : "Error";
  console.error(`${kind}: ${error.message}`);
  process.exitCode = 1;
});
