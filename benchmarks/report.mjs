// Prints the tables of a run and writes its figures to a JSON file.

import { execFileSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { ROOT, readConfig } from "../scripts/config.mjs";
import { quantile, ratioInterval } from "./statistics.mjs";

/**
 * @typedef {import("./measure.mjs").Cost} Cost
 * @typedef {{ median: number, p95: number, requests: number, cost?: Cost }} Figures
 * @typedef {{ value: number, low: number, high: number }} Ratio
 *
 * @typedef {object} Result
 * @property {string} title
 * @property {number} [target]
 * @property {Record<string, Figures>} sides
 * @property {Record<string, Ratio>} ratios to Yoga, by side
 */

/**
 * @param {import("./operations.mjs").Operation} operation
 * @param {Record<string, number[][]>} samples by side and round
 * @param {Record<string, import("./measure.mjs").Cost>} costs by side
 * @param {() => number} random
 * @returns {Result}
 */
export function summarise(operation, samples, costs, random) {
  /** @type {Result} */
  const result = { title: operation.title, target: operation.target, sides: {}, ratios: {} };
  for (const [side, rounds] of Object.entries(samples)) {
    const times = rounds.flat();
    result.sides[side] = {
      median: quantile(times, 0.5),
      p95: quantile(times, 0.95),
      requests: times.length,
      cost: costs[side],
    };
  }
  for (const side of Object.keys(samples)) {
    if (side === "yoga" || !samples.yoga) continue;
    const [low, high] = ratioInterval(samples[side], samples.yoga, random);
    const value = result.sides[side].median / result.sides.yoga.median;
    result.ratios[side] = { value, low, high };
  }
  return result;
}

const HEADINGS = ["", "side", "median", "p95 ms", "ratio to Yoga", "trips", "read", "written"];

/**
 * @param {Result} result
 * @returns {string[][]} one row per side
 */
function rowsOf({ title, target, sides, ratios }) {
  return Object.entries(sides).map(([side, { median, p95, cost }], index) => [
    index === 0 ? title : "",
    side,
    median.toFixed(2),
    p95.toFixed(2),
    formatRatio(ratios[side], side === "ours" ? target : undefined),
    formatCount(cost?.roundTrips),
    formatCount(cost?.rowsRead),
    formatCount(cost?.rowsWritten),
  ]);
}

/**
 * Format a ratio with its interval, and compare it with its target: "1.15 (1.09–1.20) ok".
 * @param {Ratio | undefined} ratio
 * @param {number} [target]
 */
export function formatRatio(ratio, target) {
  if (!ratio) return "";
  const { value, low, high } = ratio;
  const verdict = target && (value <= target ? " ok" : ` > ${target}`);
  return `${value.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})${verdict ?? ""}`;
}

/** @param {number | undefined} value */
const formatCount = (value) =>
  value === undefined || Number.isNaN(value) ? "" : String(Math.round(value));

/**
 * @param {Result[]} results
 * @returns {string}
 */
export function table(results) {
  return formatTable([HEADINGS, ...results.flatMap(rowsOf)], [0, 1, 4]);
}

/**
 * Align the columns of a table.
 * @param {string[][]} rows the first contains the headings
 * @param {number[]} textColumns columns to align to the left; the others contain numbers
 */
export function formatTable(rows, textColumns) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const align = (/** @type {string} */ cell, /** @type {number} */ column) =>
    textColumns.includes(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return rows.map((row) => row.map(align).join("  ").trimEnd()).join("\n");
}

/** List the operations whose ratio exceeds the target. */
export function missedTargets(/** @type {Result[]} */ results) {
  return results.filter(({ target, ratios }) => target && ratios.ours?.value > target);
}

/**
 * Write the figures of a run below benchmarks/results; returns the path of the file.
 * @param {object} figures by part of the run
 */
export async function save(figures) {
  const manifest = join(ROOT, "node_modules", "workerd", "package.json");
  const at = new Date();
  const run = {
    at: at.toISOString(),
    commit: commit(),
    workerd: JSON.parse(await readFile(manifest, "utf8")).version,
    compatibilityDate: readConfig().compatibility_date,
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    load: loadavg()[0],
    ...figures,
  };
  const name = join("benchmarks", "results", `${at.toISOString().replace(/[:.]/g, "-")}.json`);
  await mkdir(join(ROOT, "benchmarks", "results"), { recursive: true });
  await writeFile(join(ROOT, name), `${JSON.stringify(run, null, 2)}\n`);
  return name;
}

function commit() {
  try {
    const options = { cwd: ROOT, encoding: /** @type {const} */ ("utf8") };
    return execFileSync("git", ["describe", "--always", "--dirty"], options).trim();
  } catch {
    return null;
  }
}
