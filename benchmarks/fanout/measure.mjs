// Measuring a scenario: sockets of every side are open, and the sides take turns.

import { setTimeout as pause } from "node:timers/promises";
import { Crowd } from "./crowd.mjs";

const WARM_UP = 5;
const WARM_UP_EVENTS = 500;
/** What a side does after its last frame must not be charged to the next. */
const PAUSE_MS = 10;

/**
 * @typedef {import("./scenarios.mjs").Scenario} Scenario
 * @typedef {import("./servers.mjs").Server} Server
 *
 * @typedef {object} Samples
 * @property {number[][]} rounds milliseconds, one a round
 * @property {number} frames a socket and publish
 * @property {number} bytes an event and socket
 */

/**
 * From the start of a publish to the last event at the last socket.
 * @param {Server} server
 * @param {Crowd} crowd
 * @param {number} events
 * @returns {Promise<number>} milliseconds
 */
async function timePublish(server, crowd, events) {
  await server.store(events);
  await pause(PAUSE_MS);
  const start = performance.now();
  const arrived = crowd.until(server.published + events);
  const [end] = await Promise.all([arrived, server.publish(events)]);
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
  /** @type {{ server: Server, crowd: Crowd, times: number[][] }[]} */
  const sides = [];
  try {
    for (const server of servers) {
      const crowd = await Crowd.open(server, scenario);
      sides.push({ server, crowd, times: [] });
      await crowd.goLive();
      const warmUp = Math.ceil(Math.min(WARM_UP * events, WARM_UP_EVENTS) / events);
      for (let i = 0; i < warmUp; i += 1) await timePublish(server, crowd, events);
      crowd.frames = 0;
      crowd.bytes = 0;
    }
    for (let round = 0; round < rounds; round += 1) {
      const order = sides.map((side) => ({ side, at: random() })).sort((a, b) => a.at - b.at);
      for (const { side } of order) {
        side.times.push([await timePublish(side.server, side.crowd, events)]);
      }
    }
    const samples = Object.fromEntries(
      sides.map(({ server, crowd, times }) => {
        const { frames, bytes, size } = crowd;
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
    // A frame too many of the last round comes before this.
    for (const { server, crowd } of sides) await timePublish(server, crowd, 1);
    return samples;
  } finally {
    for (const { crowd } of sides) await crowd.close();
  }
}
