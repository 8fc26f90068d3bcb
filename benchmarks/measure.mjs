// Compares the responses of all sides, and then measures the sides in turns.

import { normalise } from "./operations.mjs";
import { shuffled } from "./statistics.mjs";

/** @typedef {import("./operations.mjs").Operation} Operation */
/** @typedef {import("./sides.mjs").Side} Side */

export const BLOCK = 10;
const COMPARED = 6;
const WARM_UP = 100;
/** Makes a peer report its use of D1; ours always reports it. */
const COUNT_HEADERS = { "x-count-d1": "1" };

/** A response or delivery was wrong, so the measurement would be worthless. */
export class WrongAnswer extends Error {}

/**
 * @param {Side} side
 * @param {Operation} operation
 * @param {import("./client.mjs").Answer} answer
 */
function check(side, operation, { status, text }) {
  if (status !== 200 || !text.startsWith('{"data":') || !text.includes(operation.expected)) {
    const excerpt = text.slice(0, 2_000);
    throw new WrongAnswer(`${side.name} answered ${operation.title} with ${status}: ${excerpt}`);
  }
}

/**
 * Send the same requests to all sides and check that the responses are equal; returns their use of D1.
 * @param {Operation} operation
 * @param {Side[]} sides
 * @returns {Promise<Record<string, Cost>>}
 *
 * @typedef {{ roundTrips: number, rowsRead: number, rowsWritten: number }} Cost averages per request
 */
export async function compare(operation, sides) {
  /** @type {Record<string, Cost>} */
  const costs = {};
  for (const side of sides) costs[side.name] = { roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
  for (let i = 0; i < COMPARED; i += 1) {
    let first;
    for (const side of sides) {
      const answer = await side.client.send(side.nextBody(operation), COUNT_HEADERS);
      check(side, operation, answer);
      const text = normalise(operation, answer.text);
      first ??= text;
      if (text !== first) {
        const names = `${sides[0].name} and ${side.name}`;
        throw new WrongAnswer(`${names} differ on ${operation.title}:\n${difference(first, text)}`);
      }
      const cost = costs[side.name];
      cost.roundTrips += Number(answer.headers["d1-round-trips"]) / COMPARED;
      cost.rowsRead += Number(answer.headers["d1-rows-read"]) / COMPARED;
      cost.rowsWritten += Number(answer.headers["d1-rows-written"]) / COMPARED;
    }
  }
  return costs;
}

/**
 * Show the first line in which two texts differ, with the lines around it.
 * @param {string} a
 * @param {string} b
 */
function difference(a, b) {
  const [left, right] = [a.split("\n"), b.split("\n")];
  const at = left.findIndex((line, number) => line !== right[number]);
  const around = (/** @type {string[]} */ lines) =>
    lines.slice(Math.max(0, at - 3), at + 2).join("\n");
  return `${around(left)}\n---\n${around(right)}`;
}

/**
 * Measure `count` requests to one side, one after the other.
 * @param {Side} side
 * @param {Operation} operation
 * @param {number} count
 * @returns {Promise<number[]>} milliseconds
 */
export async function time(side, operation, count) {
  const times = [];
  for (let i = 0; i < count; i += 1) {
    const body = side.nextBody(operation);
    const start = performance.now();
    const answer = await side.client.send(body);
    times.push(performance.now() - start);
    check(side, operation, answer);
  }
  return times;
}

/**
 * Measure all sides. In each round every side gets a block of requests, in random order.
 * @param {Operation} operation
 * @param {Side[]} sides
 * @param {{ requests: number, random: () => number }} options
 * @returns {Promise<Record<string, number[][]>>} milliseconds by side and round
 */
export async function measure(operation, sides, { requests, random }) {
  /** @type {Record<string, number[][]>} */
  const samples = {};
  for (const side of sides) {
    samples[side.name] = [];
    await time(side, operation, WARM_UP);
  }
  for (let round = 0; round < Math.ceil(requests / BLOCK); round += 1) {
    for (const side of shuffled(sides, random)) {
      samples[side.name].push(await time(side, operation, BLOCK));
    }
  }
  return samples;
}
