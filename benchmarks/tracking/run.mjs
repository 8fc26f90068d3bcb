// Measures the cost of tracking: runs the same steps bare and tracked, in turns.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindWorkflows, readBeside } from "../../scripts/beside.mjs";
import { ROOT } from "../../scripts/config.mjs";
import { applyMigrations } from "../../scripts/migrate.mjs";
import { startMiniflare } from "../../scripts/start.mjs";
import { WrongAnswer } from "../measure.mjs";
import { randomNumbers } from "../statistics.mjs";
import { stagedWorker } from "../workers.mjs";
import { summarise } from "./report.mjs";

/** The names that --only takes for this part. */
export const LANGUAGES = { trackJavaScript: "JAVASCRIPT", trackPython: "PYTHON" };

/** @typedef {keyof typeof LANGUAGES} Language */

const STEPS = 20;
const ROUNDS = 30;
const WARM_UP = 3;
const POLL_MS = 10;
const DEADLINE_MS = 60_000;

/**
 * @param {Language[]} chosen
 * @param {number} [rounds] number of runs of each kind to time
 * @returns {Promise<Record<string, import("./report.mjs").Result>>}
 */
export async function runTracking(chosen, rounds = ROUNDS) {
  /** @type {Record<string, import("./report.mjs").Result>} */
  const results = {};
  if (chosen.length === 0) return results;
  console.log("Starting the service and its workflows …");
  const folder = await mkdtemp(join(tmpdir(), "flowflare-tracking-"));
  const others = await Promise.all(
    ["counter", "driver", "python"].map((name) =>
      readBeside(join(ROOT, "benchmarks/tracking", name)),
    ),
  );
  const service = stagedWorker();
  const beside = others.map(({ worker }) => worker);
  bindWorkflows(service, beside);
  // Of an instance that is followed, nothing need be reported.
  service.bindings.FOLLOWER_SHARDS = 0;
  const miniflare = await startMiniflare(service, { port: 0, state: folder, beside });
  try {
    await miniflare.ready;
    await applyMigrations(await miniflare.getD1Database("DB"), join(ROOT, "migrations"));
    const runner = new Runner(miniflare);
    const random = randomNumbers(20261125);
    for (const name of chosen) {
      results[name] = await measure(runner, LANGUAGES[name], { rounds, random });
      console.log(`${results[name].title}: done`);
    }
    return results;
  } finally {
    await miniflare.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * @param {Runner} runner
 * @param {string} language
 * @param {{ rounds: number, random: () => number }} options
 */
async function measure(runner, language, { rounds, random }) {
  const kinds = /** @type {const} */ (["bare", "tracked"]);
  /** @type {Record<"bare" | "tracked", number[][]>} */
  const samples = { bare: [], tracked: [] };
  for (let round = -WARM_UP; round < rounds; round += 1) {
    const turns = random() < 0.5 ? kinds : kinds.toReversed();
    for (const kind of turns) {
      const elapsed = await runner.run(`${language}_${kind.toUpperCase()}`);
      if (round >= 0) samples[kind].push([elapsed / STEPS]);
    }
  }
  const calls = await runner.countCalls(`${language}_COUNTED`);
  return summarise(language, samples, { steps: STEPS, calls, random });
}

/** Starts workflows through the driver and waits until they end. */
class Runner {
  #miniflare;
  #started = 0;

  /** @param {any} miniflare */
  constructor(miniflare) {
    this.#miniflare = miniflare;
  }

  /**
   * Run a workflow; returns its duration in milliseconds.
   * @param {string} binding
   */
  async run(binding) {
    this.#started += 1;
    const driver = await this.#miniflare.getWorker("driver");
    const url = `http://driver/${binding}/run-${this.#started}`;
    await driver.fetch(url, { method: "POST", body: JSON.stringify({ steps: STEPS }) });
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      await new Promise((done) => setTimeout(done, POLL_MS));
      const { status, output, error } = await (await driver.fetch(url)).json();
      if (status === "complete") return Number(output);
      if (status === "errored" || performance.now() > deadline) {
        throw new WrongAnswer(`${binding} is ${status}: ${JSON.stringify(error)}`);
      }
    }
  }

  /**
   * Run a workflow; returns the number of its calls to the service.
   * @param {string} binding
   */
  async countCalls(binding) {
    const counter = await this.#miniflare.getWorker("counter");
    await counter.fetch("http://counter/");
    await this.run(binding);
    return Number(await (await counter.fetch("http://counter/")).text());
  }
}
