// Figures and tables of following.

import { formatRatio, formatTable } from "../report.mjs";
import { quantile, ratioInterval } from "../statistics.mjs";
import { dollars } from "./prices.mjs";
import { COST_TARGETS, SLOWDOWN_TARGET } from "./scenarios.mjs";

/**
 * @typedef {object} Delay
 * @property {number} median milliseconds
 * @property {number} p95
 * @property {number} events
 *
 * @typedef {object} LatencyResult
 * @property {string} title
 * @property {number} target the longest median, in milliseconds
 * @property {Record<"followed" | "floor", Delay>} sides
 * @property {number} ratio of the medians; there are too few rounds for an interval
 *
 * @typedef {object} SlowdownResult
 * @property {string} title
 * @property {number} bare median milliseconds per step
 * @property {number} followed
 * @property {import("../report.mjs").Ratio} ratio
 * @property {number} rounds
 *
 * @typedef {import("./cost.mjs").CostResult} CostResult
 */

/**
 * @param {import("./scenarios.mjs").Scenario} scenario
 * @param {Record<"followed" | "floor", number[][]>} samples milliseconds, by round
 * @returns {LatencyResult}
 */
export function summariseLatency({ title, target }, samples) {
  const sides = { followed: delay(samples.followed), floor: delay(samples.floor) };
  return { title, target, sides, ratio: sides.followed.median / sides.floor.median };
}

/**
 * @param {number[][]} rounds
 * @returns {Delay}
 */
function delay(rounds) {
  const times = rounds.flat();
  return { median: quantile(times, 0.5), p95: quantile(times, 0.95), events: times.length };
}

/**
 * @param {LatencyResult[]} results
 * @returns {string}
 */
export function latencyTable(results) {
  const headings = [
    "event to subscriber",
    "median",
    "p95 ms",
    "target",
    "floor",
    "p95 ms",
    "ratio",
  ];
  const rows = results.map(({ title, target, sides: { followed, floor }, ratio }) => [
    title,
    followed.median.toFixed(0),
    followed.p95.toFixed(0),
    `${target}${followed.median <= target ? " ok" : " missed"}`,
    floor.median.toFixed(0),
    floor.p95.toFixed(0),
    ratio.toFixed(1),
  ]);
  return formatTable([headings, ...rows], [0, 3]);
}

/**
 * @param {string} title
 * @param {Record<"followed" | "bare", number[][]>} samples milliseconds per step, by round
 * @param {() => number} random
 * @returns {SlowdownResult}
 */
export function summariseSlowdown(title, { followed, bare }, random) {
  const medians = [followed, bare].map((rounds) => quantile(rounds.flat(), 0.5));
  const [low, high] = ratioInterval(followed, bare, random);
  return {
    title,
    bare: medians[1],
    followed: medians[0],
    ratio: { value: medians[0] / medians[1], low, high },
    rounds: followed.length,
  };
}

/**
 * @param {SlowdownResult[]} results
 * @returns {string}
 */
export function slowdownTable(results) {
  const headings = ["", "bare", "followed ms", "ratio"];
  const rows = results.map(({ title, bare, followed, ratio }) => [
    title,
    bare.toFixed(2),
    followed.toFixed(2),
    formatRatio(ratio, SLOWDOWN_TARGET),
  ]);
  return formatTable([headings, ...rows], [0, 3]);
}

/** The columns of the counts. */
const COUNTS = /** @type {const} */ ([
  ["calls", "calls"],
  ["batches", "batches"],
  ["rowsWritten", "rows written"],
  ["rowsRead", "read"],
  ["engineCalls", "engine calls"],
  ["requests", "requests"],
  ["alarms", "alarms"],
  ["alarmsSet", "set"],
  ["ownRows", "own rows"],
  ["openMs", "open ms"],
]);
/** The number of instances whose cost is shown, because one costs too little to be read. */
const MILLION = 1_000_000;

/**
 * @param {CostResult} result
 * @returns {string}
 */
export function costTable(result) {
  const { start, rows, look, sleep, sleepMs, sleepRun, isEvicted, busyHour, busyHourOf20 } = result;
  const sleepTitle = `${Math.round(sleepMs / 1_000)} s of a sleep`;
  const lines = [
    ...rows.map(({ title, kind, counts }) => ({ title, kind, counts })),
    { title: "the start itself", kind: "", counts: start },
    { title: "a look after the end", kind: "followed", counts: look },
    { title: "a sleep and an instant step", kind: "followed", counts: sleepRun },
    { title: sleepTitle, kind: isEvicted ? "evicted" : "in memory", counts: sleep },
    { title: "an hour of one long step", kind: "followed", counts: busyHour },
    { title: "an hour of 20 long steps", kind: "followed", counts: busyHourOf20 },
  ];
  const headings = ["", "", ...COUNTS.map(([, heading]) => heading)];
  const cells = lines.map(({ title, kind, counts }) => [
    title,
    kind,
    ...COUNTS.map(([name]) => String(Math.round(counts[name] * 10) / 10)),
  ]);
  return formatTable([headings, ...cells], [0, 1]);
}

/**
 * Show what the counts cost on Cloudflare's network.
 * @param {CostResult} result
 * @returns {string}
 */
export function priceTable({ start, rows, look, sleepRun, busyHour, busyHourOf20 }) {
  const lines = [
    ...rows.map((row) => ({ ...row, title: `a million: ${row.title}`, factor: MILLION })),
    { title: "a million: sleep and step", kind: "followed", counts: sleepRun, factor: MILLION },
    { title: "a million starts", kind: "", counts: start, factor: MILLION },
    { title: "a million looks", kind: "followed", counts: look, factor: MILLION },
    { title: "an hour of one long step", kind: "followed", counts: busyHour, factor: 1 },
    { title: "an hour of 20 long steps", kind: "followed", counts: busyHourOf20, factor: 1 },
  ];
  const cells = lines.map(({ title, kind, counts, factor }) => {
    const parts = Object.values(dollars(counts)).map((part) => part * factor);
    const total = parts.reduce((sum, part) => sum + part);
    return [title, kind, ...[...parts, total].map((part) => part.toFixed(factor === 1 ? 4 : 2))];
  });
  const headings = ["dollars", "", "D1", "requests", "own rows", "duration", "total"];
  return formatTable([headings, ...cells], [0, 1]);
}

/**
 * List what exceeds its target.
 * @param {import("./run.mjs").Following} following
 * @returns {string[]}
 */
export function missedTargets({ latency, slowdown, cost }) {
  const late = Object.values(latency)
    .filter(({ sides, target }) => sides.followed.median > target)
    .map(({ title }) => `event to subscriber, ${title}`);
  const slow = Object.values(slowdown)
    .filter(({ ratio }) => ratio.value > SLOWDOWN_TARGET)
    .map(({ title }) => `${title}, followed`);
  return [...late, ...slow, ...(cost ? missedCosts(cost) : [])];
}

/** @param {CostResult} cost */
function missedCosts({ rows, sleep }) {
  const [instant] = rows.filter(({ kind }) => kind === "followed");
  const { calls, batches, rowsWritten } = instant.counts;
  const isCheap =
    calls === 0 && batches <= COST_TARGETS.batches && rowsWritten <= COST_TARGETS.rowsWritten;
  const isQuiet = sleep.batches + sleep.engineCalls + sleep.alarms === 0;
  return [
    ...(isCheap ? [] : [`cost of ${instant.title}`]),
    ...(isQuiet ? [] : ["cost of a sleep"]),
  ];
}
