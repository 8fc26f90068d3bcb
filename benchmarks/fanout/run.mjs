// Runs the fan-out: starts all sides and measures each scenario.

import { randomNumbers } from "../statistics.mjs";
import { measure } from "./measure.mjs";
import { measureMemory } from "./memory.mjs";
import { HAS_PROC } from "./processes.mjs";
import { summarise } from "./report.mjs";
import { IDLE_SOCKETS, MEMORY, SCENARIOS } from "./scenarios.mjs";
import { Server } from "./servers.mjs";

/**
 * @typedef {object} FanOut
 * @property {Record<string, import("./report.mjs").Result>} scenarios
 * @property {{ sockets: number, sides: Record<string, import("./memory.mjs").Memory> }} [memory]
 */

/**
 * @param {string[]} chosen names of scenarios, or MEMORY
 * @param {import("./servers.mjs").ServerName[]} names of servers
 * @param {number} [rounds] overrides the scenarios' own
 * @returns {Promise<FanOut>}
 */
export async function runFanOut(chosen, names, rounds) {
  /** @type {FanOut} */
  const results = { scenarios: {} };
  if (chosen.length === 0 || names.length === 0) return results;
  const random = randomNumbers(20261122);
  /** @type {Server[]} */
  const servers = [];
  try {
    for (const name of names) {
      console.log(`Starting ${name} for subscriptions …`);
      servers.push(await Server.start(name));
    }
    if (chosen.includes(MEMORY)) {
      if (HAS_PROC) {
        // The side `tracker` would measure `ours` again.
        const measured = servers.filter(({ name }) => name !== "tracker");
        const sides = await measureMemory(measured, IDLE_SOCKETS);
        results.memory = { sockets: IDLE_SOCKETS, sides };
        console.log("memory of idle sockets: done");
      } else {
        console.log("memory of idle sockets: skipped, because this system has no /proc");
      }
    }
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      if (!chosen.includes(name)) continue;
      const timed = { ...scenario, rounds: rounds ?? scenario.rounds };
      results.scenarios[name] = summarise(timed, await measure(timed, servers, random), random);
      console.log(`${scenario.title}: done`);
    }
    return results;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
