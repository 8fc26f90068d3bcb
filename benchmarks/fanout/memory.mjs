// What idle sockets cost a server's process.

import { setTimeout as pause } from "node:timers/promises";
import { Crowd } from "./crowd.mjs";
import { residentBytes } from "./processes.mjs";

/** So many come and go first: what is loaded or compiled once is not a socket's. */
const WARM_UP_SOCKETS = 100;
const SETTLE_MS = 2_000;
/** Longer than the runtime lets an idle object live. */
const IDLE_MS = 12_000;

/**
 * @typedef {import("./servers.mjs").Server} Server
 * @typedef {{ before: number, after: number, perSocket: number }} Memory bytes
 */

/**
 * Resident memory without sockets and with many idle ones, of each side. To be taken from servers
 * that have done nothing else: what a process has once used it keeps.
 * @param {Server[]} servers
 * @param {number} sockets
 * @returns {Promise<Record<string, Memory>>} by side
 */
export async function measureMemory(servers, sockets) {
  for (const server of servers) {
    const crowd = await Crowd.open(server, { sockets: WARM_UP_SOCKETS, selections: 1 });
    await crowd.goLive();
    await crowd.close();
  }
  await pause(SETTLE_MS);
  const before = servers.map(resident);
  /** @type {Crowd[]} */
  const crowds = [];
  try {
    for (const server of servers) {
      crowds.push(await Crowd.open(server, { sockets, selections: 1 }));
    }
    await pause(IDLE_MS);
    const after = servers.map(resident);
    // Only now, because a publish takes memory too: all of them were subscribed.
    for (const crowd of crowds) await crowd.goLive();
    return Object.fromEntries(
      servers.map(({ name }, i) => {
        const perSocket = (after[i] - before[i]) / sockets;
        return [name, { before: before[i], after: after[i], perSocket }];
      }),
    );
  } finally {
    for (const crowd of crowds) await crowd.close();
  }
}

/** @param {Server} server */
function resident({ name, pid }) {
  if (pid === undefined) throw new Error(`The process of ${name} was not found.`);
  return residentBytes(pid);
}
