// The tracker's modules in Node, on the platform of durable_object.mjs.

import assert from "node:assert/strict";
import { Alarm } from "../../tracker_do/alarm.mjs";
import { Connections } from "../../tracker_do/connections.mjs";
import { install } from "../../tracker_do/python.mjs";
import { Storage } from "../../tracker_do/storage.mjs";

/**
 * @typedef {import("../../tracker_do/connection_state.mjs").ConnectionState} ConnectionState
 * @typedef {import("../../tracker_do/connection_state.mjs").Position} Position
 * @typedef {import("../../tracker_do/python.mjs").Limits} Limits
 * @typedef {import("../../tracker_do/python.mjs").Closes} Closes
 * @typedef {import("../../tracker_do/python.mjs").Python} Python
 * @typedef {import("./durable_object.mjs").DurableObject} DurableObject
 */

/** @type {Limits} */
const LIMITS = {
  sockets: 3,
  pollEvents: 1000,
  pollReplays: 8,
  pollAgainMs: 10_000,
  firstRetryMs: 1_000,
  maxRetryMs: 60_000,
  maxPosition: Number.MAX_SAFE_INTEGER,
  cursorLength: 16,
  unreadCharacters: 1000,
  pongTimeoutMs: 30_000,
  initTimeoutMs: 5_000,
  frameBytes: 1000,
  initFrameBytes: 200,
  initFrames: 3,
  operations: 2,
  json: { depth: 5, values: 20 },
};

/** @type {Closes} */
const CLOSES = {
  tokenExpired: [4403, "token expired"],
  keyRevoked: [4403, "key revoked"],
  initTimeout: [4408, "init timeout"],
  unread: [1013, "unread"],
  shardFull: [1013, "shard full"],
  positionLost: [1012, "position lost"],
  subscriptionLost: [1011, "subscription lost"],
  sendFailed: [1011, "send failed"],
  unexpected: [1011, "unexpected"],
};

/**
 * Install Python's side. Functions that a test leaves out must not be called.
 * @param {Partial<Python>} [functions]
 * @param {Partial<Limits>} [limits] that differ
 */
export function installPython(functions = {}, limits = {}) {
  const refuse = (/** @type {string} */ name) => () =>
    assert.fail(`${name} of Python must not be called`);
  install(
    JSON.stringify({ limits: { ...LIMITS, ...limits }, closes: CLOSES }),
    functions.receive ?? refuse("receive"),
    functions.revokedKeys ?? (() => "[]"),
    functions.execute ?? refuse("execute"),
    functions.poll ?? refuse("poll"),
    functions.resume ?? refuse("resume"),
  );
}

/**
 * The connections of an object that has just been made: new ones, or those that an eviction left.
 * @param {DurableObject} object
 */
export function wake(object) {
  const storage = new Storage(object.ctx);
  const alarm = new Alarm(object.ctx.storage);
  return { storage, alarm, connections: new Connections(object.ctx, storage, alarm) };
}

/**
 * The state of a connection with these subscriptions.
 * @param {Record<string, [plan: string, position: Position]>} [subscriptions]
 * @param {Partial<ConnectionState>} [more]
 * @returns {ConnectionState}
 */
export function stateWith(subscriptions = {}, more = {}) {
  return {
    principal: { key: "key" },
    subscriptions: new Map(Object.entries(subscriptions)),
    running: [],
    ...more,
  };
}

/**
 * Open a socket with a state.
 * @param {DurableObject} object
 * @param {Connections} connections
 * @param {string} name
 * @param {ConnectionState} [state]
 */
export function openSocket(object, connections, name, state = stateWith()) {
  const socket = object.newSocket(name);
  connections.accept(socket.webSocket, state);
  return socket;
}
