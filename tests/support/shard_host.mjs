// Runs the real shard of the tracker in Node, for tests in Python (see shards.py).
//
// Both sides exchange lines of JSON over pipes. Python asks for one operation at a time; until its
// answer, JavaScript calls Python for whatever Python does in the Worker, and for D1. Reading and
// writing block, so a call of Python returns its text at once, as in the Worker.

import { readSync, writeSync } from "node:fs";
import { configure, join, newExecution, runTask } from "../../resolvers/runtime/commands.mjs";
import { install, open } from "../../tracker_do/edge.mjs";
import { env } from "./cloudflare_workers.mjs";
import { State, Wire, hasTimers, nextTurn } from "./hibernation.mjs";
import { ObjectStorage } from "./platform.mjs";

/** @typedef {(error?: Error) => void} Delivery of a notification; it is lost with an error */

const PONG = '{"type":"pong"}';
/** The functions that tracker.py installs, by their numbers in Python. */
const FUNCTIONS = [0, 1, 2, 3, 4];

// --- lines

let received = "";
const decoder = new TextDecoder();
const chunk = new Uint8Array(1 << 16);

/** @returns {any} what Python sent; undefined at the end */
function receive() {
  while (!received.includes("\n")) {
    const length = readSync(0, chunk);
    if (length === 0) return undefined;
    received += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  const end = received.indexOf("\n");
  const line = received.slice(0, end);
  received = received.slice(end + 1);
  return JSON.parse(line);
}

/** @param {object} message */
function send(message) {
  let bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(writeSync(1, bytes));
}

/**
 * Call Python.
 * @param {string} call
 * @param {...any} given
 * @returns {any}
 */
function call(call, ...given) {
  send({ call, given });
  const { value, error } = receive();
  if (error !== undefined) throw new Error(error);
  return value;
}

// --- the world of one test

/** @type {string} */
let name;
/** @type {ObjectStorage} */
let storage;
/** @type {State} */
let state;
/** @type {any} */
let shard;
/** @type {Set<Wire>} that are open */
const wires = new Set();
/** @type {Map<number, Wire>} all by their ids in Python */
const clients = new Map();
/** @type {(() => void)[]} answers of D1 that have not reached the shard yet */
const answers = [];
let areAnswersHeld = false;
let isWriting = false;
let areNotificationsHeld = false;
/** @type {Delivery[]} of notifications that are held */
const notifications = [];
/** @type {unknown[]} */
const failures = [];
/** The contents of the next report: frames and closes that clients have read, and logged texts. */
/** @type {[id: number, text: string][]} */
const arrived = [];
/** @type {[id: number, code: number, reason: string][]} */
const closes = [];
/** @type {string[]} */
const logged = [];

Object.assign(console, {
  error: (/** @type {string} */ text) => logged.push(text),
  warn: (/** @type {string} */ text) => logged.push(text),
});

env.DB = {
  /** @param {string} sql */
  prepare: (sql) => ({ bind: (/** @type {any[]} */ ...given) => [sql, given], sql }),
  /** @param {any[]} statements */
  async batch(statements) {
    const asked = statements.map((one) => (Array.isArray(one) ? one : [one.sql, []]));
    /** @type {any[]} */
    const outcomes = call("batch", asked);
    if (areAnswersHeld && !isWriting) {
      await new Promise((/** @type {(value: void) => void} */ resolve) => answers.push(resolve));
    }
    await nextTurn();
    return outcomes.map(([value, changes]) => ({
      results: value === null ? [] : [{ value }],
      meta: { changes, rows_read: 1, rows_written: changes },
    }));
  },
};

env.TRACKER = {
  idFromName: (/** @type {string} */ id) => id,
  get: (/** @type {string} */ id) => ({
    /** @param {string} [prefetched] */
    async notify(prefetched) {
      if (areNotificationsHeld) {
        await new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
          notifications.push((error) => (error ? reject(error) : resolve()));
        });
      }
      await nextTurn();
      if (id !== name) throw new Error(`there is no shard ${id}`);
      return shard.notify(prefetched);
    },
  }),
};

/** Start the object, at first or after an eviction. */
function start() {
  const started = new State(name, storage, wires, (error) => {
    // An evicted object has no effect any more.
    if (started === state) failures.push(error);
  });
  state = started;
  shard = open(/** @type {any} */ (state));
}

/**
 * Note a result that is sent before the position that it follows from is stored.
 * @param {Wire} wire
 * @param {string} text
 */
function checkStored(wire, text) {
  const { id, type, payload } = JSON.parse(text);
  const cursor = payload?.extensions?.cursor;
  if (type !== "next" || !cursor) return;
  const stored = Array.from(wires, readAttachment);
  const [, position] = new Map(readAttachment(wire).streams).get(id) ?? [];
  const reached = position ?? Math.max(...stored.map(({ position = -1 }) => position));
  if (Number(reached) < Number(cursor)) failures.push(`${cursor} was sent with ${reached} stored`);
}

/**
 * @param {Wire} wire
 * @returns {{ streams: [id: string, [plan: string, position: unknown]][], position?: number }}
 */
function readAttachment({ attachment }) {
  const text = /** @type {string} */ (attachment);
  return text.startsWith("{") ? JSON.parse(text) : { streams: [] };
}

/** Wait until nothing happens any more, while the clients that read do so. */
async function settle() {
  do await nextTurn();
  while (hasTimers() || clientsRead());
}

/** @returns {boolean} true if a client has read anything */
function clientsRead() {
  let hasRead = false;
  for (const [id, wire] of clients) {
    if (!wire.isReading) continue;
    const { closed } = wire;
    for (const text of wire.unread.splice(0)) {
      hasRead = true;
      arrived.push([id, text]);
      if (!closed && JSON.parse(text).type === "ping") shard.onMessage(wire.server, PONG);
    }
    if (!closed || !wires.has(wire)) continue;
    hasRead = true;
    closes.push([id, ...closed]);
    shard.onClose(wire.server, ...closed);
    wires.delete(wire);
  }
  return hasRead;
}

/** @type {Record<string, (...given: any[]) => unknown>} */
const OPERATIONS = {
  /** Begin a test with a new shard. */
  begin(shardName, settings, commands) {
    configure(commands);
    const functions = FUNCTIONS.map((number) => (/** @type {string[]} */ ...given) => {
      return call("function", number, ...given);
    });
    // @ts-expect-error: as many as there are
    install(settings, ...functions);
    for (const emptied of [wires, clients]) emptied.clear();
    for (const emptied of [answers, notifications, failures, arrived, closes, logged]) {
      emptied.length = 0;
    }
    areAnswersHeld = areNotificationsHeld = false;
    storage?.sql.close();
    storage = new ObjectStorage();
    name = shardName;
    start();
  },

  /** Open a connection. */
  open(id) {
    const wire = /** @type {Wire} */ (shard.accept(false).webSocket);
    wire.onSend = (text) => checkStored(wire, text);
    clients.set(id, wire);
  },

  /** Have a client send a message. */
  message(id, text) {
    const wire = clients.get(id);
    if (!wire || !wires.has(wire)) return;
    if (text === state.autoResponse?.request) wire.unread.push(state.autoResponse?.response ?? "");
    else shard.onMessage(wire.server, text);
  },

  /** Have a client close its connection, or lose it without a word. */
  close(id, isLost) {
    const wire = /** @type {Wire} */ (clients.get(id));
    clients.delete(id);
    if (!wires.has(wire)) return;
    if (isLost) shard.onError(wire.server);
    else shard.onClose(wire.server, 1000, "");
    wires.delete(wire);
  },

  /** Have a client read what it is sent, or not. */
  read(id, isReading) {
    /** @type {Wire} */ (clients.get(id)).isReading = isReading;
  },

  /** Notify the shard, as a write does. */
  notify(prefetched) {
    state.waitUntil(shard.notify(prefetched));
  },

  /** Fire the alarm. */
  alarm() {
    storage.alarm = null;
    state.waitUntil(shard.onAlarm());
  },

  /** End the object, and wake another one with what it has stored. */
  evict() {
    answers.length = 0;
    for (const wire of wires) {
      if (wire.closed) wires.delete(wire);
      else wire.hibernate();
    }
    start();
  },

  /** Hold the answers that D1 gives to the shard from now on. */
  hold() {
    areAnswersHeld = true;
  },

  /** Let the answers that were held reach the shard; and those that follow, unless `hold`. */
  release(hold) {
    areAnswersHeld = hold;
    for (const answer of answers.splice(0)) answer();
  },

  /** Execute a GraphQL request of another client of the Worker. */
  async execute(request) {
    const execution = newExecution();
    const begin = (/** @type {string} */ failure) => call("execute", request, failure);
    const resume = (/** @type {number} */ task, /** @type {string} */ result) =>
      call("function", 4, task, result);
    isWriting = true;
    try {
      return join(await runTask({ begin, resume }, execution), execution.texts);
    } finally {
      isWriting = false;
    }
  },

  /** Hold the notifications of writes from now on. */
  holdNotifications(areHeld) {
    areNotificationsHeld = areHeld;
  },

  /** Let a notification that was held reach the shard, or be lost. */
  deliver(index, isLost) {
    const [delivery] = notifications.splice(index, 1);
    delivery(isLost ? new Error("Network connection lost.") : undefined);
  },

  status: () => JSON.parse(shard.status()),
};

/** The report that a test gets after each operation. */
function report() {
  const positions = Array.from(clients, ([id, wire]) => {
    return [id, wires.has(wire) ? readAttachment(wire).streams : []];
  });
  return {
    frames: arrived.splice(0),
    closes: closes.splice(0),
    logged: logged.splice(0),
    positions,
    unread: Array.from(clients, ([id, wire]) => [id, wire.unread.map(({ length }) => length)]),
    alarm: storage.alarm,
    answers: answers.length,
    notifications: notifications.length,
  };
}

for (let asked = receive(); asked; asked = receive()) {
  const [operation, ...given] = asked;
  try {
    const value = (await OPERATIONS[operation](...given)) ?? null;
    await settle();
    if (failures.length > 0) throw failures[0];
    send({ value, report: report() });
  } catch (error) {
    send({ failed: error instanceof Error ? error.stack : String(error) });
  }
}
