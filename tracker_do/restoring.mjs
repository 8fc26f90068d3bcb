// Restores the subscribers of a shard from its sockets' attachments after an eviction.

import { closes, python } from "./python.mjs";
import { expiryOf } from "./connection_state.mjs";
import { Subscribers } from "./subscribers.mjs";

/** @typedef {import("./connections.mjs").Connections} Connections */

/**
 * Restore the subscribers of all connections that can go on, and close the other connections.
 * @param {Connections} connections with all states read
 * @param {number | undefined} livePosition
 * @param {import("./storage.mjs").Storage} storage
 */
export function restoreSubscribers(connections, livePosition, storage) {
  if (livePosition === undefined) closeLost(connections);
  closeRevoked(connections);
  const subscribers = new Subscribers();
  for (const socket of connections.all()) {
    const state = connections.state(socket);
    const known = { expiresAt: expiryOf(state), backlog: connections.backlog(socket) };
    for (const [id, [plan, position]] of state.subscriptions) {
      subscribers.add(socket, id, plan, position, known);
    }
  }
  storage.keepDefinitions(subscribers.plans());
  storage.keepAttachments();
  return subscribers;
}

/**
 * Close the connections with live subscriptions, as the live position is not known. Their clients
 * resume with their cursors and miss nothing.
 * @param {Connections} connections
 */
function closeLost(connections) {
  for (const socket of connections.all()) {
    const subscriptions = [...connections.state(socket).subscriptions.values()];
    if (subscriptions.every(([, position]) => position !== null)) continue;
    connections.close(socket, closes.positionLost);
  }
}

/**
 * Close the connections of keys that are not configured any more. A new configuration restarts the
 * object, so this is checked when it wakes.
 * @param {Connections} connections
 */
function closeRevoked(connections) {
  const keyOf = (/** @type {WebSocket} */ socket) => connections.state(socket).principal?.key;
  const keys = new Set(Array.from(connections.all(), keyOf).filter(Boolean));
  const revoked = new Set(JSON.parse(python.revokedKeys(JSON.stringify([...keys]))));
  if (revoked.size === 0) return;
  for (const socket of connections.all()) {
    if (revoked.has(keyOf(socket))) connections.close(socket, closes.keyRevoked);
  }
}
