// Figures and tables of following.

import { formatRatio, formatTable } from "../report.mjs";
import { quantile, ratioInterval } from "../statistics.mjs";

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
 * @property {import("../report.mjs").Ratio} ratio
 */

/**
 * @param {import("./scenarios.mjs").Scenario} scenario
 * @param {Record<"followed" | "floor", number[][]>} samples milliseconds, by round
 * @param {() => number} random
 * @returns {LatencyResult}
 */
export function summariseLatency({ title, target }, samples, random) {
  const sides = { followed: delay(samples.followed), floor: delay(samples.floor) };
  const [low, high] = ratioInterval(samples.followed, samples.floor, random);
  const ratio = { value: sides.followed.median / sides.floor.median, low, high };
  return { title, target, sides, ratio };
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
    formatRatio(ratio),
  ]);
  return formatTable([headings, ...rows], [0, 3, 6]);
}
