// Delivers the result of a poll: saves the new positions, then sends the texts.

import { closes, limits } from "./python.mjs";

/**
 * @typedef {import("./connections.mjs").Connections} Connections
 * @typedef {import("./poll.mjs").Delivery} Delivery
 * @typedef {import("./subscribers.mjs").Group} Group
 * @typedef {import("./subscribers.mjs").Subscriber} Subscriber
 */

/**
 * Advance the subscribers of a poll's groups, and send them the texts.
 * @param {Connections} connections
 * @param {Group[]} groups
 * @param {Delivery} delivery
 * @param {(string | null)[]} texts by the handles of the advances
 */
export function deliver(connections, groups, { livePosition, advances, refused, keys }, texts) {
  const receivers = advanceSubscribers(connections, groups, advances, texts);
  connections.advance(livePosition);
  for (const [index, [number, , handle]] of advances.entries()) {
    if (handle === null) continue;
    const text = payloadOf(keys[number], /** @type {string} */ (texts[handle]));
    sendToAll(connections, receivers[index], text);
  }
  for (const [number, errors] of refused) refuse(connections, groups[number], errors);
}

/**
 * Save the new positions, and choose the receivers of the texts. A subscription whose connection has a
 * full backlog stays at its position, and catches up once the client has read.
 * @param {Connections} connections
 * @param {Group[]} groups
 * @param {Delivery["advances"]} advances
 * @param {(string | null)[]} texts
 * @returns {Subscriber[][]} by advance
 */
function advanceSubscribers(connections, groups, advances, texts) {
  const { subscribers, livePosition } = connections;
  /** @type {Set<WebSocket>} */
  const changed = new Set();
  const receivers = advances.map(([number, position, handle]) => {
    const group = groups[number];
    if (position === group.position && handle === null) return [];
    return group.subscribers.filter((subscriber) => {
      if (subscriber.isRemoved) return false;
      const { socket, id, plan, backlog } = subscriber;
      const mustWait = handle !== null && backlog.isFull;
      const next = mustWait ? (group.position ?? livePosition) : position;
      if (next !== group.position) {
        subscribers.move(subscriber, next);
        connections.state(socket).subscriptions.set(id, [plan, next]);
        changed.add(socket);
      }
      if (mustWait || handle === null) return false;
      // Counted now, as the connection may have other subscriptions among these.
      backlog.add(/** @type {string} */ (texts[handle]).length);
      return true;
    });
  });
  for (const socket of changed) connections.save(socket);
  return receivers;
}

/**
 * @param {Connections} connections
 * @param {Subscriber[]} receivers
 * @param {string} text the rest of the frame, after its prefix
 */
function sendToAll(connections, receivers, text) {
  const now = Date.now();
  let prefix;
  let frame = "";
  for (const subscriber of receivers) {
    if (subscriber.isRemoved) continue;
    // Many clients number their operations, so the same id often comes several times in a row.
    if (subscriber.prefix !== prefix) frame = (prefix = subscriber.prefix) + text;
    if (subscriber.expiresAt > now) connections.sendCounted(subscriber.socket, frame);
    else connections.close(subscriber.socket, closes.tokenExpired);
    if (subscriber.backlog.isPingDue) connections.ping(subscriber.socket);
  }
}

/**
 * End the subscriptions of a group with an error.
 * @param {Connections} connections
 * @param {Group} group
 * @param {unknown[]} payload
 */
function refuse(connections, group, payload) {
  for (const { isRemoved, socket, id } of group.subscribers) {
    if (isRemoved) continue;
    const state = connections.state(socket);
    const subscriptions = new Map(state.subscriptions);
    subscriptions.delete(id);
    connections.update(socket, { ...state, subscriptions });
    connections.send(socket, JSON.stringify({ id, type: "error", payload }));
  }
}

/**
 * The rest of a `next` frame, after its prefix.
 * @param {string} key of the root field
 * @param {string} text its cursor, blank if it has none, and its value
 */
function payloadOf(key, text) {
  const cursor = text.slice(0, limits.cursorLength);
  const data = `"data":{"${key}":${text.slice(limits.cursorLength)}}`;
  return cursor.trim() ? `${data},"extensions":{"cursor":"${cursor}"}}}` : `${data}}}`;
}
