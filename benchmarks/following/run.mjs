// Measures following: how late subscribers are, what it costs, and whether it slows workflows.

import { randomNumbers } from "../statistics.mjs";
import { Latency } from "./latency.mjs";
import { summariseLatency } from "./report.mjs";
import { SCENARIOS } from "./scenarios.mjs";
import { Service } from "./service.mjs";

const WARM_UP_INSTANCES = 5;

/**
 * @typedef {object} Following
 * @property {Record<string, import("./report.mjs").LatencyResult>} latency
 */

/**
 * @param {string[]} chosen names of scenarios
 * @param {number} [rounds] overrides the scenarios' own
 * @returns {Promise<Following>}
 */
export async function runFollowing(chosen, rounds) {
  const random = randomNumbers(20261126);
  /** @type {Following} */
  const results = { latency: {} };
  const scenarios = Object.entries(SCENARIOS).filter(([name]) => chosen.includes(name));
  if (scenarios.length > 0) {
    console.log("Starting the service, which follows …");
    const service = await Service.start(["following/driver"], { shards: 1 });
    try {
      const latency = new Latency(service, random);
      await latency.measure(WARM_UP_INSTANCES, 1);
      for (const [name, scenario] of scenarios) {
        const samples = await latency.measure(scenario.instances, rounds ?? scenario.rounds);
        results.latency[name] = summariseLatency(scenario, samples, random);
        console.log(`${scenario.title}: done`);
      }
    } finally {
      await service.stop();
    }
  }
  return results;
}
