import assert from "node:assert/strict";
import test, { beforeEach, mock } from "node:test";
import { DurableObject } from "../../support/durable_object.mjs";
import { installPython, openSocket, stateWith, wake } from "../../support/tracker.mjs";

const PING = '{"type":"ping"}';

/** @type {DurableObject} */
let object;
/** @type {ReturnType<typeof wake>} */
let tracker;

beforeEach(() => {
  installPython();
  object = new DurableObject();
  tracker = wake(object);
});

/** @param {string} name @param {Parameters<typeof openSocket>[3]} [state] */
const open = (name, state) => openSocket(object, tracker.connections, name, state);

/** The attachment of a socket, parsed. */
const attachmentOf = (/** @type {import("../../support/durable_object.mjs").Socket} */ socket) =>
  JSON.parse(/** @type {string} */ (socket.deserializeAttachment()));

test("an accepted socket is counted, listed and saved", () => {
  const { connections } = tracker;
  const a = open("a");
  open("b");
  assert.equal(connections.count, 2);
  assert.deepEqual([...connections.all()], object.sockets);
  assert.deepEqual(attachmentOf(a), { who: { key: "key" }, streams: [] });
  assert.equal(wake(object).connections.count, 2);
});

test("the state of a socket is read from its attachment after an eviction", () => {
  const socket = open("a", stateWith({ 1: ["plan", 5] }, { initDeadline: 3, isBound: true }));
  const { connections } = wake(object);
  const state = connections.state(socket.webSocket);
  assert.deepEqual([...state.subscriptions], [["1", ["plan", 5]]]);
  assert.deepEqual([state.initDeadline, state.isBound], [3, true]);
});

test("an update adds and removes subscribers, and the last one takes the definition along", () => {
  const { connections, storage } = tracker;
  storage.storeDefinition(["plan", "document", "{ a }", "[]"]);
  const a = open("a", stateWith({ 1: ["plan", null] })).webSocket;
  const b = open("b").webSocket;
  const ids = () =>
    connections.subscribers.groups().flatMap((group) => group.subscribers.map(({ id }) => id));
  connections.advance(1);
  assert.deepEqual(ids(), ["1"]);
  connections.update(b, stateWith({ 2: ["plan", null] }));
  assert.deepEqual(ids(), ["1", "2"]);
  connections.update(a, stateWith());
  assert.deepEqual(ids(), ["2"]);
  assert.deepEqual(Object.keys(storage.definitions(["plan"])), ["plan"]);
  connections.update(b, stateWith());
  assert.deepEqual(storage.definitions(["plan"]), {});
});

test("a subscription that stays is not added again", () => {
  const { connections } = tracker;
  const socket = open("a", stateWith({ 1: ["plan", ""] })).webSocket;
  const [{ subscribers }] = connections.subscribers.groups();
  connections.update(socket, stateWith({ 1: ["plan", ""], 2: ["plan", ""] }));
  assert.equal(connections.subscribers.groups()[0].subscribers[0], subscribers[0]);
  assert.equal(subscribers[0].isRemoved, false);
});

test("a socket that fails is closed, and the others go on", () => {
  const { connections } = tracker;
  const [a, b] = [open("a", stateWith({ 1: ["plan", ""] })), open("b")];
  assert.equal(connections.subscribers.isEmpty, false);
  a.isBroken = true;
  for (const socket of [a, b]) connections.send(socket.webSocket, "text");
  assert.deepEqual([a.code, a.sent], [1011, []]);
  assert.deepEqual([b.code, b.sent], [undefined, ["text"]]);
  assert.equal(connections.subscribers.isEmpty, true);
  assert.equal(connections.count, 1);
});

test("a socket is closed once, and not listed any more", () => {
  const { connections } = tracker;
  const a = open("a");
  connections.close(a.webSocket, [4400, "first"]);
  connections.close(a.webSocket, [4401, "second"]);
  assert.deepEqual(
    object.history.filter(([act]) => act === "close"),
    [["close", "a", 4400, "first"]],
  );
  assert.deepEqual([connections.has(a.webSocket), connections.count], [false, 0]);
  // The runtime lists it until its client has closed it, too.
  assert.deepEqual(object.sockets, [a]);
  assert.deepEqual([...connections.all()], []);
});

test("what waits for room in a backlog goes on when the socket is dropped", async () => {
  const { connections } = tracker;
  const a = open("a").webSocket;
  connections.send(a, "x".repeat(1000));
  let executed = false;
  const waiting = connections.backlog(a).execute(async () => void (executed = true));
  await Promise.resolve();
  assert.equal(executed, false);
  connections.drop(a);
  await waiting;
  assert.equal(executed, true);
});

test("a ping is sent once half the backlog is used, is stored, and has the alarm check it", async () => {
  mock.timers.enable({ apis: ["Date"], now: 1_000 });
  try {
    const { connections } = tracker;
    const a = open("a");
    connections.send(a.webSocket, "x".repeat(499));
    connections.ping(a.webSocket);
    assert.equal(a.sent.includes(PING), false);
    connections.send(a.webSocket, "x");
    connections.ping(a.webSocket);
    connections.ping(a.webSocket);
    assert.equal(a.sent.filter((text) => text === PING).length, 1);
    assert.equal(attachmentOf(a).pingedAt, 1_000);
    await new Promise((done) => setImmediate(done));
    assert.equal(object.alarm, 31_000);
    // Until the pong the backlog counts as full after an eviction, since nobody knows what was read.
    assert.equal(wake(object).connections.backlog(a.webSocket).isFull, true);
    connections.pong(a.webSocket);
    assert.equal("pingedAt" in attachmentOf(a), false);
    assert.equal(wake(object).connections.backlog(a.webSocket).isFull, false);
  } finally {
    mock.timers.reset();
  }
});

test("a pong that answers no ping saves nothing", () => {
  const a = open("a").webSocket;
  const { length } = object.history;
  tracker.connections.pong(a);
  assert.equal(object.history.length, length);
});

test("the live position is in three attachments, and survives eviction", () => {
  const sockets = ["a", "b", "c", "d"].map((name) => open(name, stateWith({ 1: ["plan", null] })));
  tracker.connections.advance(7);
  assert.deepEqual(
    sockets.map((socket) => attachmentOf(socket).position),
    [7, 7, 7, undefined],
  );
  assert.equal(wake(object).connections.livePosition, 7);
});

test("when the last socket that keeps the live position goes, others take it over", () => {
  const sockets = ["a", "b", "c", "d"].map((name) => open(name, stateWith({ 1: ["plan", null] })));
  const { connections } = tracker;
  connections.advance(7);
  for (const socket of sockets.slice(0, 3)) connections.drop(socket.webSocket);
  assert.equal(attachmentOf(sockets[3]).position, 7);
  assert.equal(connections.livePosition, 7);
});

test("a socket that goes right after an eviction does not take the live position along", () => {
  const sockets = ["a", "b", "c", "d"].map((name) => open(name, stateWith({ 1: ["plan", null] })));
  tracker.connections.advance(7);
  for (const socket of sockets.slice(0, 3)) {
    tracker = wake(object);
    object.sockets.splice(0, 1);
    tracker.connections.drop(socket.webSocket);
  }
  assert.equal(wake(object).connections.livePosition, 7);
  assert.equal(sockets[3].code, undefined);
});

test("a position is saved only if it changes", () => {
  open("a", stateWith({ 1: ["plan", null] }));
  tracker.connections.advance(7);
  const { length } = object.history;
  tracker.connections.advance(7);
  assert.equal(object.history.length, length);
});
