// Measures whether a workflow is slower while it is followed.

import { setTimeout as pause } from "node:timers/promises";
import { shuffled } from "../statistics.mjs";

const STEPS = 20;
const WARM_UP = 3;
/** Time for the work that a run leaves when its end has been recorded. */
const SETTLE_MS = 50;

/** @typedef {import("./service.mjs").Service} Service */

/**
 * Run a workflow of empty steps in turns: started by the service, which follows it, and by another
 * Worker, so that nobody follows it. The code is the same.
 * @param {Service} service
 * @param {string} binding
 * @param {{ rounds: number, random: () => number }} options
 * @returns {Promise<Record<"followed" | "bare", number[][]>>} milliseconds per step, by round
 */
export async function measureSlowdown(service, binding, { rounds, random }) {
  const workflow = binding.toLowerCase().replace("_", "-");
  const params = { steps: STEPS };
  const start = {
    followed: (/** @type {string} */ id) => service.startWorkflow(workflow, id, params),
    bare: (/** @type {string} */ id) => service.startUnfollowed(binding, id, params),
  };
  /** @type {Record<"followed" | "bare", number[][]>} */
  const samples = { followed: [], bare: [] };
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const kind of shuffled(/** @type {const} */ (["followed", "bare"]).slice(), random)) {
      const id = `${workflow}-${kind}-${round + WARM_UP}`;
      await start[kind](id);
      const elapsed = await service.untilEnded(binding, id);
      if (kind === "followed") await service.untilRecorded(id, "COMPLETED");
      await pause(SETTLE_MS);
      if (round >= 0) samples[kind].push([elapsed / STEPS]);
    }
  }
  return samples;
}
