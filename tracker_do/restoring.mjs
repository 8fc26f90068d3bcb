// Makes the subscribers of a shard again, from the sockets' attachments, once the object wakes.

import { closes, python } from "./python.mjs";
import { expiryOf } from "./connection_state.mjs";
import { Subscribers } from "./subscribers.mjs";

/** @typedef {import("./connections.mjs").Connections} Connections */

/**
 * Make the subscribers of all connections that may go on, and close the others.
 * @param {Connections} connections whose states have all been read
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
 * Close the connections with live subscriptions, whose position is not known: their clients resume,
 * which costs them no event.
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
 * Close the connections of keys that were taken out while the object slept: it wakes with new code.
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
