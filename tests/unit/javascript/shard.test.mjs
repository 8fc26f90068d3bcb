import assert from "node:assert/strict";
import test, { afterEach, beforeEach, mock } from "node:test";
import { configure } from "../../../resolvers/runtime/batches.mjs";
import { Shard } from "../../../tracker_do/shard.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { HEAD, readOf, SqliteD1 } from "../../support/d1.mjs";
import { DurableObject, installGlobals } from "../../support/durable_object.mjs";
import { installPython } from "../../support/tracker.mjs";

/** @typedef {import("../../support/durable_object.mjs").Socket} Socket */

const NOW_MS = 100_000;
const WHO = { key: "key", scopes: ["READ"] };

/** @type {DurableObject} */
let object;
/** @type {Shard} */
let shard;
/** @type {any[][]} the messages that Python received: state, text, problem */
let received;
/** @type {any[]} the polls that Python was asked for */
let polls;
/** @type {(state: any, text: string) => { state?: any, actions: any[][] }} Python's decisions */
let decide;
/** @type {import("../../../tracker_do/python.mjs").Python["execute"]} */
let execute;

beforeEach(() => {
  mock.timers.enable({ apis: ["Date"], now: NOW_MS });
  mock.method(console, "error", () => {});
  configure({ textBytes: 1_000_000, tooBig: "too big" });
  env.DB = new SqliteD1();
  object = new DurableObject();
  installGlobals(object);
  received = [];
  polls = [];
  decide = () => ({ actions: [] });
  execute = () => assert.fail("nothing is executed");
  install();
  shard = new Shard(object.ctx);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** @param {Parameters<typeof installPython>[1]} [limits] */
function install(limits) {
  installPython(
    {
      receive(written, text, problem) {
        const state = JSON.parse(written);
        received.push([state, text, problem]);
        return JSON.stringify(decide(state, text));
      },
      execute: (...given) => execute(...given),
      poll(text) {
        const request = JSON.parse(text);
        polls.push(request);
        const { groups, livePosition } = request;
        return JSON.stringify({
          done: {
            livePosition,
            window: 1000,
            more: false,
            advances: groups.map((/** @type {any} */ _, /** @type {number} */ n) => [
              n,
              null,
              null,
            ]),
            refused: [],
            keys: groups.map(() => "key"),
            ...(groups.every((/** @type {any} */ [, position]) => position === null) && {
              template: { head: HEAD, reads: [readOf("")], window: 1000, isPrefetchable: true },
            }),
          },
        });
      },
    },
    limits,
  );
}

/** Open a socket that Python has authenticated unless `who` is null; returns the server's side. */
function open(isBound = false, /** @type {any} */ who = WHO) {
  shard.accept(isBound);
  const socket = object.sockets[object.sockets.length - 1];
  if (who) message(socket, "init", (state) => ({ state: { ...state, who }, actions: [] }));
  return socket;
}

/** Send a message; Python decides on it as given. */
function message(
  /** @type {Socket} */ socket,
  /** @type {string | ArrayBuffer} */ data,
  /** @type {typeof decide} */ decision = () => ({ actions: [] }),
) {
  decide = decision;
  shard.onMessage(socket.webSocket, data);
}

/** Subscribe to a plan. */
const subscribe = (/** @type {Socket} */ socket, id = "1", position = "") =>
  message(socket, "subscribe", (state) => ({
    state: { ...state, streams: [...state.streams, [id, ["plan", position]]] },
    actions: [["subscribe", "plan", "document", "{ a }", "[]"]],
  }));

/** Have Python ask for an operation's execution. */
const start = (/** @type {Socket} */ socket, id = "q") =>
  message(socket, "subscribe", (state) => ({
    state: { ...state, running: [...state.running, id] },
    actions: [["execute", id, "payload"]],
  }));

const attachmentOf = (/** @type {Socket} */ socket) =>
  JSON.parse(/** @type {string} */ (socket.deserializeAttachment()));

// --- sockets

test("the runtime answers the ping of graphql-ws", () => {
  assert.deepEqual(object.autoResponses, ['{"type":"ping"}', '{"type":"pong"}']);
});

test("an upgrade is answered with the subprotocol and the client's socket", () => {
  const { status, webSocket, headers } = /** @type {any} */ (shard.accept(false));
  assert.deepEqual([status, webSocket.name], [101, "client 1"]);
  assert.deepEqual(headers, { "sec-websocket-protocol": "graphql-transport-ws" });
  assert.deepEqual(attachmentOf(object.sockets[0]), {
    until: NOW_MS + 5_000,
    bound: false,
    streams: [],
  });
});

test("a shard accepts as many sockets as the limit, and closes others with 1013", () => {
  for (let n = 0; n < 4; n += 1) shard.accept(false);
  assert.equal(object.sockets.length, 3);
  assert.deepEqual(
    object.history.filter(([act]) => act === "close"),
    [["close", "server 4", 1013, "shard full"]],
  );
  shard.onClose(object.sockets[0].webSocket, 1000, "");
  shard.accept(false);
  assert.equal(object.sockets.length, 4);
});

test("a close is answered with its code, if that may be sent", () => {
  for (const [code, answer] of /** @type {const} */ ([
    [1000, 1000],
    [4400, 4400],
    [1001, 1001],
    [1005, 1000],
    [1006, 1000],
    [1015, 1000],
    [undefined, 1000],
  ])) {
    const socket = open();
    shard.onClose(socket.webSocket, code, "bye");
    assert.equal(socket.code, answer);
    assert.equal(JSON.parse(shard.status()).sockets, 0);
  }
});

test("messages after a close are ignored", () => {
  const socket = open();
  message(socket, "bad", () => ({ actions: [["close", 4400, "why"]] }));
  const { length } = received;
  message(socket, "more");
  assert.equal(received.length, length);
  assert.equal(socket.code, 4400);
});

// --- messages

test("Python is given the state and the text of a message", () => {
  const socket = open(true, null);
  message(socket, "hello");
  assert.deepEqual(received, [
    [{ until: NOW_MS + 5_000, bound: true, streams: [], running: [] }, "hello", ""],
  ]);
});

test("a message that Python must not parse is named by its problem", () => {
  const socket = open();
  for (const [data, problem] of /** @type {[string | ArrayBuffer, string][]} */ ([
    [new ArrayBuffer(2), "BINARY"],
    ["x".repeat(1001), "TOO_LARGE"],
    ["[".repeat(6), "TOO_DEEP"],
    ["[],".repeat(20), "TOO_MANY_VALUES"],
  ])) {
    message(socket, data);
    assert.deepEqual(received.at(-1)?.slice(1), ["", problem]);
  }
  message(socket, "x".repeat(1000));
  assert.equal(received.at(-1)?.[2], "");
});

test("before connection_init messages are shorter and few", () => {
  const socket = open(false, null);
  message(socket, "x".repeat(201));
  message(socket, "x".repeat(200));
  for (let n = 0; n < 3; n += 1) message(socket, "hello");
  assert.deepEqual(
    received.map(([, , problem]) => problem),
    ["TOO_LARGE", "", "", "", "TOO_MANY"],
  );
  const other = open(false, null);
  message(other, "hello");
  assert.equal(received.at(-1)?.[2], "");
});

test("the state is saved before anything is sent", () => {
  const socket = open();
  object.history.length = 0;
  message(socket, "subscribe", (state) => ({
    state: { ...state, streams: [["1", ["plan", ""]]] },
    actions: [
      ["send", "text"],
      ["subscribe", "plan", "document", "{ a }", "[]"],
    ],
  }));
  assert.deepEqual(
    object.history.map(([act]) => act),
    ["save", "send"],
  );
  assert.deepEqual(attachmentOf(socket).streams, [["1", ["plan", ""]]]);
  assert.deepEqual(object.rows("SELECT digest, rest FROM feeds"), [["plan", "[]"]]);
});

test("a connection keeps its deadline until connection_init, and its ping after", () => {
  const socket = open(true, null);
  message(socket, "a", (state) => ({ state: { streams: [], running: [] }, actions: [] }));
  assert.deepEqual(
    [attachmentOf(socket).until, attachmentOf(socket).bound],
    [NOW_MS + 5_000, true],
  );
  message(socket, "init", () => ({ state: { who: WHO, streams: [], running: [] }, actions: [] }));
  assert.deepEqual(attachmentOf(socket), { who: WHO, streams: [] });
  message(socket, "ping", () => ({ actions: [["send", "x".repeat(600)]] }));
  assert.equal(attachmentOf(socket).pingedAt, NOW_MS);
  message(socket, "b", () => ({ state: { who: WHO, streams: [], running: [] }, actions: [] }));
  assert.equal(attachmentOf(socket).pingedAt, NOW_MS);
});

test("an exception closes the socket it concerns, and no other", () => {
  const [socket, other] = [open(), open()];
  message(socket, "boom", () => {
    throw new Error("unexpected");
  });
  message(other, "fine", () => ({ actions: [["send", "text"]] }));
  assert.deepEqual([socket.code, other.code, other.sent], [1011, undefined, ["text"]]);
});

test("a subscription is polled for, and the alarm polls again", async () => {
  const socket = open();
  subscribe(socket);
  await object.background();
  assert.deepEqual(
    polls.map(({ groups }) => groups),
    [[["plan", ""]]],
  );
  // The deadline of connection_init comes first.
  assert.equal(object.alarm, NOW_MS + 5_000);
  assert.equal(JSON.parse(shard.status()).subscriptions, 1);
});

test("immediate answers wait for nobody, up to twice the backlog", () => {
  const socket = open();
  for (const closed of [undefined, undefined, 1013]) {
    message(socket, "ping", () => ({ actions: [["send", "x".repeat(1000)]] }));
    assert.equal(socket.code, closed);
  }
});

test("a pong lets subscriptions that are behind catch up", async () => {
  const socket = open();
  const live = open();
  subscribe(live);
  subscribe(socket, "1", "5");
  await object.background();
  message(socket, "x", (state) => ({
    state: { ...state, streams: [["2", ["plan", 0]]] },
    actions: [["send", "x".repeat(1000)]],
  }));
  await shard.notify();
  polls = [];
  message(live, "pong", () => ({ actions: [["pong"]] }));
  await object.background();
  assert.equal(polls.length, 0);
  message(socket, "pong", () => ({ actions: [["pong"]] }));
  await object.background();
  assert.deepEqual(polls[0].groups, [
    ["plan", null],
    ["plan", 0],
  ]);
  assert.equal("pingedAt" in attachmentOf(socket), false);
});

// --- operations

test("an operation is executed, and its frames are joined and sent", async () => {
  execute = (principal, id, payload, failure) => {
    assert.deepEqual([JSON.parse(principal), id, payload, failure], [WHO, "q", "payload", ""]);
    const done = [["next ", 0, "!"], ["complete"]];
    return JSON.stringify({ batch: [["SELECT 'text'", [], true]], done });
  };
  const socket = open();
  start(socket);
  await object.background();
  assert.deepEqual(socket.sent, ["next text!", "complete"]);
  execute = () => JSON.stringify({ done: [["again"]] });
  start(socket);
  await object.background();
  assert.deepEqual(received.at(-1)?.[0].running, []);
});

test("an operation that was completed meanwhile sends nothing", async () => {
  execute = () => JSON.stringify({ done: [["answer"]] });
  const [socket, gone] = [open(), open()];
  start(socket);
  message(socket, "complete", (state) => ({ state: { ...state, running: [] }, actions: [] }));
  start(gone);
  shard.onClose(gone.webSocket, 1000, "");
  await object.background();
  assert.deepEqual([socket.sent, gone.sent], [[], []]);
});

test("an operation waits while the backlog is full", async () => {
  execute = () => JSON.stringify({ done: [["answer"]] });
  const socket = open();
  message(socket, "x", () => ({ actions: [["send", "x".repeat(1000)]] }));
  start(socket);
  await new Promise((done) => setImmediate(done));
  assert.equal(socket.sent.includes("answer"), false);
  message(socket, "pong", () => ({ actions: [["pong"]] }));
  await object.background();
  assert.equal(socket.sent.includes("answer"), true);
});

test("an operation that fails unexpectedly closes its socket", async () => {
  execute = () => {
    throw new Error("unexpected");
  };
  const [socket, other] = [open(), open()];
  start(socket);
  await object.background();
  assert.deepEqual([socket.code, other.code], [1011, undefined]);
});

// --- the alarm

test("the alarm closes the sockets whose time is up, and is set for the next one", async () => {
  const expiring = (/** @type {number} */ seconds) => ({ ...WHO, exp: NOW_MS / 1000 + seconds });
  install({ sockets: 10 });
  const uninitialised = open(false, null);
  const expired = open(false, expiring(5));
  const unread = open();
  message(unread, "x", () => ({ actions: [["send", "x".repeat(600)]] }));
  const later = open(false, expiring(70));
  const fine = open();
  await object.background();
  mock.timers.setTime(NOW_MS + 30_000);
  object.alarm = null;
  await shard.onAlarm();
  assert.deepEqual(
    [uninitialised, expired, unread, later, fine].map(({ code }) => code),
    [4408, 4403, 1013, undefined, undefined],
  );
  assert.equal(object.alarm, NOW_MS + 70_000);
});

test("a token that expires has the alarm set for it", async () => {
  open(false, { ...WHO, exp: NOW_MS / 1000 + 2 });
  await object.background();
  assert.equal(object.alarm, NOW_MS + 2_000);
});

test("the alarm polls, and goes on only while the log grows", async () => {
  const socket = open();
  subscribe(socket);
  await object.background();
  await shard.notify();
  object.alarm = null;
  env.DB.append("event");
  await shard.onAlarm();
  assert.deepEqual(
    socket.sent.map((text) => JSON.parse(text).payload.data.key),
    [["event"]],
  );
  assert.equal(object.alarm, NOW_MS + 10_000);
  object.alarm = null;
  await shard.onAlarm();
  assert.equal(object.alarm, null);
});

// --- notifications

test("a notification polls, schedules another poll and gives the next prefetch", async () => {
  const socket = open();
  subscribe(socket);
  await object.background();
  await shard.onAlarm();
  env.DB.append("event");
  const prefetch = await shard.notify();
  assert.equal(socket.sent.length, 1);
  assert.equal(object.alarm, NOW_MS + 10_000);
  assert.deepEqual(
    prefetch?.reads.map(([plan]) => plan),
    ["plan"],
  );
});

test("prefetched texts are delivered, and those that begin elsewhere lead to a poll", async () => {
  const socket = open();
  subscribe(socket);
  await object.background();
  const { id } = /** @type {{ id: string }} */ (await shard.notify());
  const { polls: before } = JSON.parse(shard.status());
  const texts = { plan: `${"0".repeat(15)}1["prefetched"]` };
  await shard.notify({ id, from: 0, to: 1, texts });
  assert.equal(JSON.parse(shard.status()).polls, before);
  env.DB.append("event", "other");
  await shard.notify({ id, from: 0, to: 1, texts });
  assert.equal(JSON.parse(shard.status()).polls, before + 1);
  assert.deepEqual(
    socket.sent.map((text) => JSON.parse(text).payload.data.key),
    [["prefetched"], ["other"]],
  );
});

test("the status counts, and names the object, which is another one after an eviction", () => {
  open();
  const { since, ...status } = JSON.parse(shard.status());
  assert.deepEqual(status, { sockets: 1, subscriptions: 0, position: 0, polls: 0, prefetched: 0 });
  const awake = JSON.parse(new Shard(object.ctx).status());
  assert.equal(awake.sockets, 1);
  assert.notEqual(awake.since, since);
});
