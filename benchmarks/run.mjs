// Measures Flowflare beside its peers: `make bench ARGS="…"`. See README.md here.
//
//   node benchmarks/run.mjs [--only NAME]… [--side SIDE]… [--requests N] [--rounds N]
//     [--check-targets]
//
// With one side nothing is compared: that is for profiling. Exits with 1 when an answer or a
// delivery is wrong, never for being slow, unless --check-targets is given.

import { loadavg } from "node:os";
import { readArguments } from "./arguments.mjs";
import * as fanOutReport from "./fanout/report.mjs";
import { runFanOut } from "./fanout/run.mjs";
import { WrongAnswer, compare, measure, time } from "./measure.mjs";
import { OPERATIONS } from "./operations.mjs";
import { missedTargets, save, summarise, table } from "./report.mjs";
import { Side } from "./sides.mjs";
import { quantile, randomNumbers } from "./statistics.mjs";
import * as trackingReport from "./tracking/report.mjs";
import { runTracking } from "./tracking/run.mjs";

const PROFILE_WARM_UP = 200;
const BUSY = 1.0;

/** @typedef {Record<string, import("./report.mjs").Result>} Results */
/** @typedef {import("./fanout/run.mjs").FanOut} FanOut */

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
 * The requests: all sides started, each operation measured.
 * @param {string[]} names of operations
 * @param {import("./sides.mjs").SideName[]} sideNames
 * @param {number} requests
 * @returns {Promise<Results>} empty for one side
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
    if (sides.length > 1) return await race(sides, names, requests);
    await profile(sides[0], names, requests);
    return {};
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}

/**
 * @param {Results} operations
 * @param {FanOut} onSockets
 * @param {Record<string, trackingReport.Result>} tracking
 */
async function report(operations, onSockets, tracking) {
  const requests = Object.values(operations);
  const publishes = Object.values(onSockets.scenarios);
  const tracked = Object.values(tracking);
  const { memory } = onSockets;
  if (requests.length > 0) console.log(`\n${table(requests)}`);
  if (publishes.length > 0) console.log(`\n${fanOutReport.table(publishes)}`);
  if (memory) console.log(`\n${fanOutReport.memoryTable(memory.sides, memory.sockets)}`);
  if (tracked.length > 0) console.log(`\n${trackingReport.table(tracked)}`);
  if ([requests, publishes, tracked].every(({ length }) => length === 0) && !memory) return;
  console.log(`\nWritten to ${await save({ operations, onSockets, tracking })}`);
}

async function main() {
  const chosen = readArguments();
  if (loadavg()[0] > BUSY) {
    console.log(`The machine is busy (load ${loadavg()[0].toFixed(1)}); the figures will be too.`);
  }
  const operations = await runRequests(chosen.operations, chosen.sides, chosen.requests);
  const onSockets = await runFanOut(chosen.onSockets, chosen.servers, chosen.rounds);
  const tracking = await runTracking(chosen.tracking, chosen.rounds);
  await report(operations, onSockets, tracking);
  const missed = [
    ...missedTargets(Object.values(operations)).map(({ title }) => title),
    ...fanOutReport.missedTargets(Object.values(onSockets.scenarios)),
  ];
  if (chosen.checkTargets && missed.length > 0) {
    console.error(`Over target: ${missed.join("; ")}`);
    process.exitCode = 1;
  }
}

main().catch((error) => {
  const kind = error instanceof WrongAnswer ? "Wrong answer" : "Error";
  console.error(`${kind}: ${error.message}`);
  process.exitCode = 1;
});
