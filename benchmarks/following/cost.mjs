// Counts what following uses, beside the same workflow that reports.

import { setTimeout as pause } from "node:timers/promises";
import { WrongAnswer } from "../measure.mjs";
import { difference } from "./counting.mjs";
import { WORKFLOW as PACED } from "./latency.mjs";
import { Service } from "./service.mjs";

/** The Workflows in tracking/driver. */
const BARE = "JAVASCRIPT_BARE";
const TRACKED = "JAVASCRIPT_TRACKED";
const STEPS = 5;
const SECOND_MS = 1_000;
const WORKERS = ["tracking/counter", "tracking/driver", "tracking/python", "following/pacer"];
/** Time for the work that a run leaves when its end has been recorded. */
const SETTLE_MS = 1_000;
const SLEEP_MS = 40_000;
/** The time in which instances are started that then run their step. */
const GATHER_MS = 4_000;
const BUSY_MS = 115_000;
/**
 * A history from which nothing comes is closed after a minute. It is read again after a quarter of the time in
 * which nothing came, at least 15 seconds and at most 5 minutes (see docs/limits.md).
 */
const QUIET_S = 60;
const SHORTEST_S = 15;
const LONGEST_S = 300;
const HOUR_S = 3_600;
/** The second look is at about 94 s, and the third at 118 s. */
const LOOKS = 2;
const LOOKS_END_S = 106;

/** @typedef {import("./counting.mjs").Counts} Counts */

/**
 * Plans of instances that are counted.
 * @type {Record<string, { title: string, ms: number, atOnce: number, rounds: number }>}
 */
const PLANS = {
  instant: { title: "5 instant steps", ms: 0, atOnce: 1, rounds: 3 },
  seconds: { title: "5 steps of a second", ms: SECOND_MS, atOnce: 1, rounds: 2 },
  crowd: { title: "5 instant steps, 20 at once", ms: 0, atOnce: 20, rounds: 1 },
};

/**
 * @typedef {object} Row
 * @property {string} title
 * @property {string} kind followed, reported, or both: it reports, and the service follows it
 * @property {Counts} counts per instance, without those of its start
 *
 * @typedef {object} CostResult
 * @property {Counts} start of one instance that is neither followed nor reported
 * @property {Row[]} rows
 * @property {Counts} look at an instance that has ended a minute before
 * @property {Counts} sleep within a sleep, without its beginning and its end
 * @property {number} sleepMs
 * @property {Counts} sleepRun of an instance with the sleep and an instant step, without its start
 * @property {boolean} isEvicted true if the follower's object left the memory in the sleep
 * @property {Counts} busyHour of a shard in which one instance runs one step for an hour
 * @property {Counts} busyHourOf20 the same with 20 instances
 */

/**
 * @returns {Promise<CostResult>}
 */
export async function measureCost() {
  /** @type {Row[]} */
  const rows = [];
  const start = await withService(0, async (runner) => {
    const bare = await runner.count(BARE, PLANS.instant, { isRecorded: false });
    for (const plan of Object.values(PLANS)) {
      const counts = difference(bare, await runner.count(TRACKED, plan));
      rows.push({ title: plan.title, kind: "reported", counts });
    }
    return bare;
  });
  await withService(1, async (runner) => {
    for (const [kind, binding] of Object.entries({ followed: BARE, both: TRACKED })) {
      for (const plan of Object.values(PLANS)) {
        const counts = difference(start, await runner.count(binding, plan));
        rows.push({ title: plan.title, kind, counts });
      }
    }
  });
  // Each on a service of its own: the histories of finished instances are read again after a minute.
  return {
    start,
    rows,
    look: await withService(1, (runner) => runner.countLook()),
    ...(await withService(1, (runner) => runner.countSleep(start))),
    busyHour: await withService(1, (runner) => runner.countBusyHour(1)),
    busyHourOf20: await withService(1, (runner) => runner.countBusyHour(20)),
  };
}

/**
 * @template Result
 * @param {number} shards
 * @param {(runner: Runner) => Promise<Result>} measure
 */
async function withService(shards, measure) {
  const service = await Service.start(WORKERS, { shards, counts: true });
  try {
    return await measure(new Runner(service));
  } finally {
    await service.stop();
  }
}

/** Runs instances and counts what the service uses meanwhile. */
class Runner {
  #service;
  #started = 0;

  /** @param {Service} service */
  constructor(service) {
    this.#service = service;
  }

  /**
   * @param {string} binding of the Workflow in tracking/driver
   * @param {{ ms: number, atOnce: number, rounds: number }} plan
   * @param {{ isRecorded?: boolean }} [options] isRecorded: false if nothing but the start is recorded
   * @returns {Promise<Counts>} averages per instance
   */
  async count(binding, { ms, atOnce, rounds }, { isRecorded = true } = {}) {
    // The first start of a workflow registers it.
    await this.#run(binding, { ms: 0, atOnce: 1, isRecorded });
    const before = await this.#service.counts();
    for (let round = 0; round < rounds; round += 1) {
      await this.#run(binding, { ms, atOnce, isRecorded });
    }
    return scale(difference(before, await this.#service.counts()), 1 / (atOnce * rounds));
  }

  /**
   * @param {string} binding
   * @param {{ ms: number, atOnce: number, isRecorded: boolean }} plan
   */
  async #run(binding, { ms, atOnce, isRecorded }) {
    const workflow = binding.toLowerCase().replace("_", "-");
    const ids = await this.#start(workflow, atOnce, { steps: STEPS, ms });
    for (const id of ids) {
      await this.#service.untilEnded(binding, id);
      if (isRecorded) await this.#service.untilRecorded(id, "COMPLETED");
    }
    await pause(SETTLE_MS);
  }

  /**
   * @param {string} workflow
   * @param {number} count
   * @param {unknown} input
   */
  async #start(workflow, count, input) {
    const ids = Array.from({ length: count }, () => `cost-${++this.#started}`);
    await Promise.all(ids.map((id) => this.#service.startWorkflow(workflow, id, input)));
    return ids;
  }

  /** Count what is used to see that an instance that has ended was not restarted. */
  async countLook() {
    await this.#run(BARE, { ms: 0, atOnce: 1, isRecorded: true });
    const before = await this.#service.counts();
    await pause(QUIET_S * SECOND_MS + SETTLE_MS);
    return difference(before, await this.#service.counts());
  }

  /**
   * Count what is used in a sleep.
   * @param {Counts} start what a start uses
   */
  async countSleep(start) {
    await this.#start(PACED, 1, { startsAt: Date.now() + SETTLE_MS, steps: [] });
    await pause(2 * SETTLE_MS + SECOND_MS);
    const first = await this.#service.counts();
    const startsAt = Date.now() + SLEEP_MS;
    const [id] = await this.#start(PACED, 1, { startsAt, steps: [0] });
    await this.#service.untilRecorded(id, "SLEEPING");
    await pause(SETTLE_MS);
    const before = await this.#service.counts();
    const sleepMs = startsAt - SECOND_MS - Date.now();
    await pause(sleepMs);
    const after = await this.#service.counts();
    await this.#service.untilRecorded(id, "COMPLETED");
    await pause(SETTLE_MS);
    const last = await this.#service.counts();
    return {
      sleep: difference(before, after),
      sleepMs,
      sleepRun: difference(start, difference(first, last)),
      isEvicted: difference(after, last).objects > 0,
    };
  }

  /**
   * Count what is used while instances run a step of an hour, from a shorter one.
   * @param {number} count of the instances
   * @returns {Promise<Counts>}
   */
  async countBusyHour(count) {
    const startsAt = Date.now() + GATHER_MS;
    const ids = await this.#start(PACED, count, { startsAt, steps: [BUSY_MS] });
    await pause(startsAt + SETTLE_MS - Date.now());
    for (const id of ids) await this.#service.untilRecorded(id, "RUNNING");
    await pause(startsAt + (QUIET_S + 4) * SECOND_MS - Date.now());
    const before = await this.#service.counts();
    await pause(startsAt + LOOKS_END_S * SECOND_MS - Date.now());
    const counts = difference(before, await this.#service.counts());
    if (Date.now() > startsAt + BUSY_MS) throw new WrongAnswer("The step ended too early.");
    for (const id of ids) await this.#service.untilRecorded(id, "COMPLETED");
    const hour = scale(counts, looksInAnHour() / LOOKS);
    return { ...hour, openMs: hour.openMs + QUIET_S * SECOND_MS };
  }
}

function looksInAnHour() {
  let looks = 0;
  const next = (/** @type {number} */ second) =>
    second + Math.min(Math.max(second / 4, SHORTEST_S), LONGEST_S);
  for (let second = next(QUIET_S); second < HOUR_S; second = next(second)) looks += 1;
  return looks;
}

/**
 * @param {Counts} counts
 * @param {number} factor
 * @returns {Counts}
 */
function scale(counts, factor) {
  const entries = Object.entries(counts).map(([name, count]) => [name, count * factor]);
  return /** @type {Counts} */ (Object.fromEntries(entries));
}
