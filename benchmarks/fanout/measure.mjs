// Measures a scenario. The sockets of all sides are open while the sides take turns.

import { setTimeout as pause } from "node:timers/promises";
import { shuffled } from "../statistics.mjs";
import { SubscriberPool } from "./subscriber_pool.mjs";

const WARM_UP = 5;
const WARM_UP_EVENTS = 500;
/** Time for work that a side does after its last frame, so that it does not slow the next side. */
const PAUSE_MS = 10;

/**
 * @typedef {import("./scenarios.mjs").Scenario} Scenario
 * @typedef {import("./servers.mjs").Server} Server
 *
 * @typedef {object} Samples
 * @property {number[][]} rounds milliseconds, one per round
 * @property {number} frames per socket and publish
 * @property {number} bytes per event and socket
 */

/**
 * Measure the time from the start of a publish to the last event at the last socket.
 * @param {Server} server
 * @param {SubscriberPool} pool
 * @param {number} events
 * @returns {Promise<number>} milliseconds
 */
async function timePublish(server, pool, events) {
  await server.store(events);
  await pause(PAUSE_MS);
  const start = performance.now();
  const received = pool.waitForEvent(server.published + events);
  const [end] = await Promise.all([received, server.publish(events)]);
  return end - start;
}

/**
 * @param {Scenario} scenario
 * @param {Server[]} servers
 * @param {() => number} random
 * @returns {Promise<Record<string, Samples>>} by side
 */
export async function measure(scenario, servers, random) {
  const { events, rounds } = scenario;
  /** @type {{ server: Server, pool: SubscriberPool, times: number[][] }[]} */
  const sides = [];
  try {
    for (const server of servers) {
      const pool = await SubscriberPool.open(server, scenario);
      sides.push({ server, pool, times: [] });
      await pool.confirmSubscriptions();
      const warmUp = Math.ceil(Math.min(WARM_UP * events, WARM_UP_EVENTS) / events);
      for (let i = 0; i < warmUp; i += 1) await timePublish(server, pool, events);
      pool.frames = 0;
      pool.bytes = 0;
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const { server, pool, times } of shuffled(sides, random)) {
        times.push([await timePublish(server, pool, events)]);
      }
    }
    const samples = Object.fromEntries(
      sides.map(({ server, pool, times }) => {
        const { frames, bytes, size } = pool;
        return [
          server.name,
          {
            rounds: times,
            frames: frames / size / rounds,
            bytes: bytes / size / rounds / events,
          },
        ];
      }),
    );
    // If the last round caused surplus frames, they arrive before this event and are detected.
    for (const { server, pool } of sides) await timePublish(server, pool, 1);
    return samples;
  } finally {
    for (const { pool } of sides) await pool.close();
  }
}
