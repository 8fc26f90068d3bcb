// Figures and table of the cost of tracking.

import { formatRatio, formatTable } from "../report.mjs";
import { quantile, ratioInterval } from "../statistics.mjs";

const TITLES = /** @type {Record<string, string>} */ ({
  JAVASCRIPT: "a step in JavaScript",
  PYTHON: "a step in Python",
});

/**
 * @typedef {object} Result
 * @property {string} title
 * @property {number} bare median milliseconds per step
 * @property {number} tracked
 * @property {import("../report.mjs").Ratio} ratio
 * @property {number} rounds
 * @property {number} callsPerStep
 */

/**
 * @param {string} language
 * @param {Record<"bare" | "tracked", number[][]>} samples milliseconds per step, by round
 * @param {{ steps: number, calls: number, random: () => number }} options
 * @returns {Result}
 */
export function summarise(language, { bare, tracked }, { steps, calls, random }) {
  const medians = [bare, tracked].map((rounds) => quantile(rounds.flat(), 0.5));
  const [low, high] = ratioInterval(tracked, bare, random);
  return {
    title: TITLES[language],
    bare: medians[0],
    tracked: medians[1],
    ratio: { value: medians[1] / medians[0], low, high },
    rounds: bare.length,
    callsPerStep: calls / steps,
  };
}

/**
 * @param {Result[]} results
 * @returns {string}
 */
export function table(results) {
  const headings = ["", "bare", "tracked ms", "more", "ratio", "calls per step"];
  const rows = results.map(({ title, bare, tracked, ratio, callsPerStep }) => [
    title,
    bare.toFixed(2),
    tracked.toFixed(2),
    (tracked - bare).toFixed(2),
    formatRatio(ratio),
    callsPerStep.toFixed(2),
  ]);
  return formatTable([headings, ...rows], [0, 4]);
}
