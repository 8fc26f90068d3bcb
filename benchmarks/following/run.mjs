// Measures following: how late subscribers are, what it uses, and whether it slows workflows.

import { randomNumbers } from "../statistics.mjs";
import { measureCost } from "./cost.mjs";
import { Latency } from "./latency.mjs";
import { summariseLatency, summariseSlowdown } from "./report.mjs";
import { COST, LANGUAGES, SCENARIOS } from "./scenarios.mjs";
import { Service } from "./service.mjs";
import { measureSlowdown } from "./slowdown.mjs";

/** The names that --only takes for this part. */
export const FOLLOWING = [...Object.keys(SCENARIOS), ...Object.keys(LANGUAGES), COST];

const WARM_UP_INSTANCES = 5;
const SLOWDOWN_ROUNDS = 30;
const SEED = 20261126;

/**
 * @typedef {object} Following
 * @property {Record<string, import("./report.mjs").LatencyResult>} latency
 * @property {Record<string, import("./report.mjs").SlowdownResult>} slowdown
 * @property {import("./cost.mjs").CostResult} [cost]
 */

/**
 * @param {string[]} chosen
 * @param {number} [rounds] overrides the default number of rounds of what is timed
 * @returns {Promise<Following>}
 */
export async function runFollowing(chosen, rounds) {
  /** @type {Following} */
  const results = { latency: {}, slowdown: {} };
  if (chosen.some((name) => name in SCENARIOS)) {
    results.latency = await runLatency(chosen, rounds);
  }
  if (chosen.some((name) => name in LANGUAGES)) {
    results.slowdown = await runSlowdown(chosen, rounds ?? SLOWDOWN_ROUNDS);
  }
  if (chosen.includes(COST)) {
    console.log("Counting what following uses …");
    results.cost = await measureCost();
  }
  return results;
}

/**
 * @param {string[]} chosen
 * @param {number} [rounds]
 */
async function runLatency(chosen, rounds) {
  console.log("Starting the service, which follows …");
  const service = await Service.start(["following/pacer"], { shards: 1 });
  try {
    /** @type {Following["latency"]} */
    const results = {};
    const latency = new Latency(service, randomNumbers(SEED));
    await latency.measure(WARM_UP_INSTANCES, 1);
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      if (!chosen.includes(name)) continue;
      const samples = await latency.measure(scenario.instances, rounds ?? scenario.rounds);
      results[name] = summariseLatency(scenario, samples);
      console.log(`${scenario.title}: done`);
    }
    return results;
  } finally {
    await service.stop();
  }
}

/**
 * @param {string[]} chosen
 * @param {number} rounds
 */
async function runSlowdown(chosen, rounds) {
  console.log("Starting the service and the workflows that it follows …");
  const names = ["tracking/counter", "tracking/driver", "tracking/python"];
  const service = await Service.start(names, { shards: 1 });
  try {
    /** @type {Following["slowdown"]} */
    const results = {};
    const random = randomNumbers(SEED);
    for (const [name, { title, binding }] of Object.entries(LANGUAGES)) {
      if (!chosen.includes(name)) continue;
      const samples = await measureSlowdown(service, binding, { rounds, random });
      results[name] = summariseSlowdown(title, samples, random);
      console.log(`${title}, followed: done`);
    }
    return results;
  } finally {
    await service.stop();
  }
}
