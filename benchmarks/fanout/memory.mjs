// Measures the memory that idle sockets take in a server's process.

import { setTimeout as pause } from "node:timers/promises";
import { residentBytes } from "./processes.mjs";
import { SubscriberPool } from "./subscriber_pool.mjs";

/** These sockets are opened and closed first, so that code is loaded and compiled. */
const WARM_UP_SOCKETS = 100;
const SETTLE_MS = 2_000;
/** Longer than the runtime keeps an idle object in memory. */
const IDLE_MS = 12_000;

/**
 * @typedef {import("./servers.mjs").Server} Server
 * @typedef {{ before: number, after: number, perSocket: number }} Memory bytes
 */

/**
 * Measure each side's resident memory without sockets and with many idle ones. The servers must be
 * new, because a process keeps memory that it has used.
 * @param {Server[]} servers
 * @param {number} sockets
 * @returns {Promise<Record<string, Memory>>} by side
 */
export async function measureMemory(servers, sockets) {
  for (const server of servers) {
    const pool = await SubscriberPool.open(server, { sockets: WARM_UP_SOCKETS, selections: 1 });
    await pool.confirmSubscriptions();
    await pool.close();
  }
  await pause(SETTLE_MS);
  const before = servers.map(resident);
  /** @type {SubscriberPool[]} */
  const pools = [];
  try {
    for (const server of servers) {
      pools.push(await SubscriberPool.open(server, { sockets, selections: 1 }));
    }
    await pause(IDLE_MS);
    const after = servers.map(resident);
    // This comes after the measurement, because a publish takes memory too.
    for (const pool of pools) await pool.confirmSubscriptions();
    return Object.fromEntries(
      servers.map(({ name }, i) => {
        const perSocket = (after[i] - before[i]) / sockets;
        return [name, { before: before[i], after: after[i], perSocket }];
      }),
    );
  } finally {
    for (const pool of pools) await pool.close();
  }
}

/** @param {Server} server */
function resident({ name, pid }) {
  if (pid === undefined) throw new Error(`The workerd process of ${name} was not found in /proc.`);
  return residentBytes(pid);
}
