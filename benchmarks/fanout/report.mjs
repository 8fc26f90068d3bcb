// Figures and tables of the fan-out.

import { formatRatio, formatTable } from "../report.mjs";
import { quantile, ratioInterval } from "../statistics.mjs";

const PEERS = /** @type {const} */ (["gws", "floor"]);
const MIB = 2 ** 20;

/**
 * @typedef {import("../report.mjs").Ratio} Ratio
 * @typedef {import("./measure.mjs").Samples} Samples
 * @typedef {import("./memory.mjs").Memory} Memory
 * @typedef {import("./scenarios.mjs").Scenario} Scenario
 *
 * @typedef {object} Figures
 * @property {number} median milliseconds
 * @property {number} p95
 * @property {number} rounds
 * @property {number} frames per socket and publish
 * @property {number} bytes per event and socket
 * @property {Record<string, Ratio>} ratios to the peers' medians
 *
 * @typedef {object} Result
 * @property {string} title
 * @property {Scenario["targets"]} [targets]
 * @property {Record<string, Figures>} sides
 */

/**
 * @param {Scenario} scenario
 * @param {Record<string, Samples>} samples by side
 * @param {() => number} random
 * @returns {Result}
 */
export function summarise({ title, targets }, samples, random) {
  /** @type {Record<string, Figures>} */
  const sides = {};
  for (const [side, { rounds, frames, bytes }] of Object.entries(samples)) {
    const times = rounds.flat();
    const median = quantile(times, 0.5);
    /** @type {Record<string, Ratio>} */
    const ratios = {};
    for (const peer of side === "floor" ? [] : PEERS) {
      if (peer === side || !samples[peer]) continue;
      const [low, high] = ratioInterval(rounds, samples[peer].rounds, random);
      ratios[peer] = { value: median / quantile(samples[peer].rounds.flat(), 0.5), low, high };
    }
    sides[side] = {
      ...{ median, p95: quantile(times, 0.95), rounds: times.length, frames, bytes, ratios },
    };
  }
  return { title, targets, sides };
}

/**
 * List the titles of scenarios whose ratio to a peer exceeds the target.
 * @param {Result[]} results
 */
export function missedTargets(results) {
  return results.flatMap(({ title, targets = {}, sides }) =>
    PEERS.filter((peer) => sides.ours?.ratios[peer]?.value > (targets[peer] ?? Infinity)).map(
      (peer) => `${title} (to ${peer})`,
    ),
  );
}

/**
 * @param {Result[]} results
 * @returns {string}
 */
export function table(results) {
  const rows = results.flatMap(({ title, targets, sides }) =>
    Object.entries(sides).map(([side, { median, p95, frames, bytes, ratios }], index) => [
      index === 0 ? title : "",
      side,
      median.toFixed(1),
      p95.toFixed(1),
      ...PEERS.map((peer) =>
        formatRatio(ratios[peer], side === "ours" ? targets?.[peer] : undefined),
      ),
      frames.toFixed(1),
      bytes.toFixed(0),
    ]),
  );
  const headings = ["", "side", "median", "p95 ms", "ratio to gws", "to the floor"];
  return formatTable([[...headings, "frames", "bytes"], ...rows], [0, 1, 4, 5]);
}

/**
 * @param {Record<string, Memory>} memory by side
 * @param {number} sockets
 * @returns {string}
 */
export function memoryTable(memory, sockets) {
  const rows = Object.entries(memory).map(([side, { before, after, perSocket }]) => [
    side,
    (before / MIB).toFixed(1),
    (after / MIB).toFixed(1),
    (perSocket / 1024).toFixed(1),
  ]);
  const headings = ["side", "MiB before", `with ${sockets} idle sockets`, "KiB per socket"];
  return formatTable([headings, ...rows], [0]);
}
