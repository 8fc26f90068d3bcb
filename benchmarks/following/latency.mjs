// Measures the time from an event of the engine, by the engine's clock, until a subscriber has it.

import { setTimeout as pause } from "node:timers/promises";
import { WrongAnswer } from "../measure.mjs";
import { shuffled } from "../statistics.mjs";
import { Reader, Subscriber } from "./observers.mjs";

export const WORKFLOW = "paced";
const STEPS = 5;
const SHORTEST_MS = 100;
const LONGEST_MS = 1_000;
/** The instances begin their first step within this time. */
const SPREAD_MS = 1_000;
/** All instances must rest for at least this time before the first of them begins. */
const REST_MS = 500;
/** The first guess of the time in which instances are started. It doubles until it suffices. */
const LEAD_MS = 1_500;
const LEAD_OF_ONE_MS = 40;
const MAX_DOUBLINGS = 4;
const PAUSE_MS = 200;

/**
 * @typedef {import("./service.mjs").Service} Service
 * @typedef {import("./observers.mjs").Arrival} Arrival
 * @typedef {Subscriber | Reader} Observer
 * @typedef {{ id: string, params: { startsAt: number, steps: number[] } }} Instance
 *
 * @typedef {object} Side
 * @property {() => Promise<Observer>} open
 * @property {(instances: Instance[], observer: Observer) => Promise<void>} start
 */

/** The names of the events that are measured, in order. */
const MEASURED = [
  "gather completed",
  ...Array.from({ length: STEPS }, (_, n) => [`step ${n + 1} started`, `step ${n + 1} completed`]),
  "ended",
].flat();

/**
 * @param {Service} service
 * @returns {Record<"followed" | "floor", Side>}
 */
function sidesOf(service) {
  return {
    followed: {
      open: () => Subscriber.open(service.url, WORKFLOW),
      start: async (instances) => {
        for (const { id, params } of instances) await service.startWorkflow(WORKFLOW, id, params);
      },
    },
    floor: {
      open: async () => Reader.open(await service.urlOf("pacer")),
      start: async (instances, reader) => {
        const body = JSON.stringify(instances);
        const { ok } = await fetch(await service.urlOf("pacer"), { method: "POST", body });
        if (!ok) throw new WrongAnswer("The Worker has not created the instances.");
        reader.send(instances.map(({ id }) => id));
      },
    },
  };
}

/** Runs instances and measures how late their events arrive. */
export class Latency {
  #sides;
  #random;
  #started = 0;
  /** Multiplies the time in which instances are started. */
  #patience = 1;

  /**
   * @param {Service} service
   * @param {() => number} random
   */
  constructor(service, random) {
    this.#sides = sidesOf(service);
    this.#random = random;
  }

  /**
   * @param {number} count of the instances that run at the same time
   * @param {number} rounds
   * @returns {Promise<Record<"followed" | "floor", number[][]>>} milliseconds, by round
   */
  async measure(count, rounds) {
    /** @type {Record<"followed" | "floor", number[][]>} */
    const samples = { followed: [], floor: [] };
    const names = /** @type {const} */ (["followed", "floor"]);
    for (let round = 0; round < rounds; round += 1) {
      const plans = Array.from({ length: count }, () => ({
        delay: Math.round(this.#random() * SPREAD_MS),
        steps: Array.from({ length: STEPS }, () =>
          Math.round(SHORTEST_MS + this.#random() * (LONGEST_MS - SHORTEST_MS)),
        ),
      }));
      for (const name of shuffled([...names], this.#random)) {
        samples[name].push(await this.#run(this.#sides[name], plans));
        await pause(PAUSE_MS);
      }
    }
    return samples;
  }

  /**
   * Run instances once, with more time to start them if that was too short.
   * @param {Side} side
   * @param {{ delay: number, steps: number[] }[]} plans
   * @returns {Promise<number[]>} milliseconds
   */
  async #run(side, plans) {
    for (let doublings = 0; doublings <= MAX_DOUBLINGS; doublings += 1) {
      const late = await this.#tryRun(side, plans);
      if (late) return late;
      this.#patience *= 2;
    }
    throw new Error(`${plans.length} instances could not be started in time.`);
  }

  /**
   * @param {Side} side
   * @param {{ delay: number, steps: number[] }[]} plans
   * @returns {Promise<number[] | undefined>} undefined if the instances began before all were started
   */
  async #tryRun(side, plans) {
    const observer = await side.open();
    try {
      const lead = (LEAD_MS + LEAD_OF_ONE_MS * plans.length) * this.#patience;
      const beginning = Date.now() + lead;
      const instances = plans.map(({ delay, steps }) => ({
        id: `paced-${++this.#started}`,
        params: { startsAt: beginning + delay, steps },
      }));
      await side.start(instances, observer);
      const ids = instances.map(({ id }) => id);
      await observer.untilArrived(ids, "gather started");
      const isRested = Date.now() < beginning - REST_MS;
      await observer.untilArrived(ids, "ended");
      return isRested ? delays(observer.arrivals, ids) : undefined;
    } finally {
      observer.close();
    }
  }
}

/**
 * Check that each measured event has arrived once and in order; returns how late each of them was.
 * @param {Arrival[]} arrivals
 * @param {string[]} ids
 */
function delays(arrivals, ids) {
  return ids.flatMap((id) => {
    const own = arrivals.filter((arrival) => arrival.id === id && MEASURED.includes(arrival.name));
    const names = own.map(({ name }) => name);
    if (names.join() !== MEASURED.join()) {
      throw new WrongAnswer(`The events of ${id} are not those expected: ${names.join(", ")}`);
    }
    return own.map(({ at, arrivedAt }) => arrivedAt - at);
  });
}
