// Compares the speed of Flowflare and its peers: `make bench ARGS="…"`. See README.md in this folder.
//
//   node benchmarks/run.mjs [--only NAME]… [--side SIDE]… [--requests N] [--rounds N]
//     [--check-targets]
//
// With a single side nothing is compared, which is useful for profiling. Exits with 1 if a response
// or a delivery is wrong, and with --check-targets also if a target is missed.

import { loadavg } from "node:os";
import { readArguments } from "./arguments.mjs";
import * as fanOutReport from "./fanout/report.mjs";
import { runFanOut } from "./fanout/run.mjs";
import * as followingReport from "./following/report.mjs";
import { runFollowing } from "./following/run.mjs";
import { WrongAnswer, compare, measure, time } from "./measure.mjs";
import { OPERATIONS } from "./operations.mjs";
import { missedTargets, save, summarise, table } from "./report.mjs";
import { Side } from "./sides.mjs";
import { quantile, randomNumbers } from "./statistics.mjs";
import * as trackingReport from "./tracking/report.mjs";
import { runTracking } from "./tracking/run.mjs";

const PROFILE_WARM_UP = 200;
const BUSY_LOAD = 1.0;

/** @typedef {Record<string, import("./report.mjs").Result>} Results */
/** @typedef {import("./fanout/run.mjs").FanOut} FanOut */

/**
 * Measure a single side.
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
 * Measure and compare several sides.
 * @param {Side[]} sides
 * @param {string[]} names
 * @param {number} requests
 */
async function compareSides(sides, names, requests) {
  const random = randomNumbers(20261122);
  /** @type {Results} */
  const results = {};
  for (const name of names) {
    const operation = OPERATIONS[name];
    const able = sides.filter((side) => side.name !== "floor" || operation.hasFloor);
    const costs = await compare(operation, able);
    const samples = await measure(operation, able, { requests, random });
    results[name] = summarise(operation, samples, costs, random);
    console.log(`${operation.title}: done`);
  }
  return results;
}

/**
 * Start the sides and measure each operation.
 * @param {string[]} names of operations
 * @param {import("./sides.mjs").SideName[]} sideNames
 * @param {number} requests
 * @returns {Promise<Results>} empty for a single side
 */
async function runRequests(names, sideNames, requests) {
  if (names.length === 0 || sideNames.length === 0) return {};
  /** @type {Side[]} */
  const sides = [];
  try {
    for (const name of sideNames) {
      console.log(`Starting ${name} …`);
      sides.push(await Side.start(name));
    }
    if (sides.length > 1) return await compareSides(sides, names, requests);
    await profile(sides[0], names, requests);
    return {};
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}

/**
 * @template Result
 * @param {Record<string, Result>} results
 * @param {(results: Result[]) => string} format
 * @returns {string | undefined} the table of the results, if there are any
 */
function show(results, format) {
  const list = Object.values(results);
  return list.length > 0 ? format(list) : undefined;
}

/**
 * @param {Results} operations
 * @param {FanOut} fanOut
 * @param {Record<string, trackingReport.Result>} tracking
 * @param {import("./following/run.mjs").Following} following
 */
async function report(operations, fanOut, tracking, following) {
  const { memory } = fanOut;
  const { latency, slowdown, cost } = following;
  const tables = [
    show(operations, table),
    show(fanOut.scenarios, fanOutReport.table),
    memory && fanOutReport.memoryTable(memory.sides, memory.sockets),
    show(tracking, trackingReport.table),
    show(latency, followingReport.latencyTable),
    show(slowdown, followingReport.slowdownTable),
    cost && followingReport.costTable(cost),
    cost && followingReport.priceTable(cost),
  ].filter((text) => text !== undefined);
  if (tables.length === 0) return;
  for (const text of tables) console.log(`\n${text}`);
  const file = await save({ operations, onSockets: fanOut, tracking, following });
  console.log(`\nThe figures were written to ${file}.`);
}

async function main() {
  const chosen = readArguments();
  const [load] = loadavg();
  if (load > BUSY_LOAD) {
    console.log(
      `The machine is busy (load ${load.toFixed(1)}), so the figures will be unreliable.`,
    );
  }
  const operations = await runRequests(chosen.operations, chosen.sides, chosen.requests);
  const fanOut = await runFanOut(chosen.fanOut, chosen.servers, chosen.rounds);
  const tracking = await runTracking(chosen.tracking, chosen.rounds);
  const following = await runFollowing(chosen.following, chosen.rounds);
  await report(operations, fanOut, tracking, following);
  const missed = [
    ...missedTargets(Object.values(operations)).map(({ title }) => title),
    ...fanOutReport.missedTargets(Object.values(fanOut.scenarios)),
    ...followingReport.missedTargets(following),
  ];
  if (chosen.checkTargets && missed.length > 0) {
    console.error(`These operations exceed their targets: ${missed.join("; ")}`);
    process.exitCode = 1;
  }
}

main().catch((error) => {
  const kind = error instanceof WrongAnswer ? "Wrong response or delivery" : "Error";
  console.error(`${kind}: ${error.message}`);
  process.exitCode = 1;
});
