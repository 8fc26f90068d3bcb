import assert from "node:assert/strict";
import test, { afterEach, beforeEach, mock } from "node:test";
import { deliver } from "../../../tracker_do/delivery.mjs";
import { DurableObject } from "../../support/durable_object.mjs";
import { installPython, openSocket, stateWith, wake } from "../../support/tracker.mjs";

const CURSOR = "0000000000000009";
const NOW_MS = 100_000;

/** @type {DurableObject} */
let object;
/** @type {ReturnType<typeof wake>["connections"]} */
let connections;

beforeEach(() => {
  mock.timers.enable({ apis: ["Date"], now: NOW_MS });
  installPython();
  object = new DurableObject();
  ({ connections } = wake(object));
  connections.advance(4);
});
afterEach(() => mock.timers.reset());

/**
 * Open a socket.
 * @param {string} name
 * @param {Parameters<typeof stateWith>[0]} subscriptions
 * @param {Parameters<typeof stateWith>[1]} [more]
 */
const open = (name, subscriptions, more) =>
  openSocket(object, connections, name, stateWith(subscriptions, more));

/**
 * Deliver texts to the current groups, in their order; null for none.
 * @param {(string | null)[]} texts
 * @param {Partial<import("../../../tracker_do/poll.mjs").Delivery>} [more]
 */
function deliverTexts(texts, more = {}) {
  const groups = connections.subscribers.groups();
  /** @type {import("../../../tracker_do/poll.mjs").Advance[]} */
  const advances = texts.map((text, group) => [group, null, text === null ? null : group]);
  const keys = groups.map((_, group) => `key${group}`);
  deliver(connections, groups, { livePosition: 9, advances, refused: [], keys, ...more }, texts);
}

/** @param {string} name @param {string} id */
const positionOf = (name, id) => {
  const socket = object.sockets.find((each) => each.name === name);
  assert.ok(socket);
  return connections.state(socket.webSocket).subscriptions.get(id)?.[1];
};

test("a text is framed for each subscriber of its group", () => {
  const a = open("a", { 1: ["plan", null], 'ü"': ["plan", null] });
  const b = open("b", { 1: ["other", null] });
  deliverTexts([`${CURSOR}{"events":[]}`, `${CURSOR}[1]`]);
  const payload = { data: { key0: { events: [] } }, extensions: { cursor: CURSOR } };
  assert.deepEqual(
    a.sent.map((text) => JSON.parse(text)),
    [
      { id: "1", type: "next", payload },
      { id: 'ü"', type: "next", payload },
    ],
  );
  assert.deepEqual(JSON.parse(b.sent[0]).payload.data, { key1: [1] });
});

test("a blank cursor is left out", () => {
  const a = open("a", { 1: ["plan", null] });
  deliverTexts([`${" ".repeat(16)}null`]);
  assert.deepEqual(JSON.parse(a.sent[0]), {
    id: "1",
    type: "next",
    payload: { data: { key0: null } },
  });
});

test("a group without a text gets no frame, and is not saved for it", () => {
  const a = open("a", { 1: ["plan", null] });
  connections.advance(9);
  const { length } = object.history;
  deliverTexts([null]);
  assert.deepEqual(a.sent, []);
  assert.equal(object.history.length, length);
});

test("the new positions are saved before anything is sent", () => {
  open("a", { 1: ["plan", "0"] });
  open("b", { 1: ["plan", "0"] });
  object.history.length = 0;
  deliverTexts([`${CURSOR}1`]);
  const acts = object.history.map(([act]) => act);
  assert.ok(acts.lastIndexOf("save") < acts.indexOf("send"), acts.join());
  assert.equal(acts.filter((act) => act === "send").length, 2);
  const awake = wake(object).connections;
  assert.equal(awake.livePosition, 9);
  assert.deepEqual(
    awake.subscribers.groups().map(({ position, subscribers }) => [position, subscribers.length]),
    [[null, 2]],
  );
});

test("a subscriber whose backlog is full gets nothing and stays where it is", () => {
  const full = open("full", { live: ["plan", null], behind: ["plan", 2] });
  const reads = open("reads", { live: ["plan", null], behind: ["plan", 2] });
  const groups = connections.subscribers.groups();
  connections.send(full.webSocket, "x".repeat(1000));
  const advances = /** @type {[number, null, number][]} */ ([
    [0, null, 0],
    [1, null, 1],
  ]);
  const delivery = { livePosition: 9, advances, refused: [], keys: ["a", "b"] };
  deliver(connections, groups, delivery, [`${CURSOR}1`, `${CURSOR}2`]);
  assert.equal(full.sent.length, 1);
  assert.equal(reads.sent.length, 2);
  // The live one is behind from now on.
  assert.deepEqual([positionOf("full", "live"), positionOf("full", "behind")], [4, 2]);
  assert.deepEqual([positionOf("reads", "live"), positionOf("reads", "behind")], [null, null]);
});

test("a full backlog does not keep a subscriber back from events that are not for it", () => {
  const full = open("full", { live: ["plan", null] });
  connections.send(full.webSocket, "x".repeat(1000));
  deliverTexts([null]);
  assert.equal(positionOf("full", "live"), null);
});

test("subscriptions of a socket count together: the one that no longer fits waits", () => {
  const a = open("a", { 1: ["plan", null], 2: ["other", null] });
  deliverTexts([`${CURSOR}${"1".repeat(1000)}`, `${CURSOR}2`]);
  assert.deepEqual(
    a.sent.filter((text) => text.includes('"next"')).map((text) => JSON.parse(text).id),
    ["1"],
  );
  assert.deepEqual([positionOf("a", "1"), positionOf("a", "2")], [null, 4]);
});

test("a socket is asked with a ping once half its backlog is used", () => {
  const a = open("a", { 1: ["plan", null] });
  deliverTexts([`${CURSOR}${"1".repeat(400)}`]);
  assert.equal(a.sent.length, 1);
  deliverTexts([`${CURSOR}${"1".repeat(400)}`]);
  assert.deepEqual([a.sent.length, a.sent[2]], [3, '{"type":"ping"}']);
});

test("a token that has expired closes the socket instead", () => {
  const exp = NOW_MS / 1000;
  const expired = open("expired", { 1: ["plan", null] }, { principal: { key: "key", exp } });
  const valid = open("valid", { 1: ["plan", null] }, { principal: { key: "key", exp: exp + 1 } });
  deliverTexts([`${CURSOR}1`]);
  assert.deepEqual([expired.code, expired.sent], [4403, []]);
  assert.deepEqual([valid.code, valid.sent.length], [undefined, 1]);
});

test("a socket that fails is closed, and the others get the text", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => open(name, { 1: ["plan", null] }));
  b.isBroken = true;
  deliverTexts([`${CURSOR}1`]);
  assert.deepEqual([a.sent.length, b.code, c.sent.length], [1, 1011, 1]);
});

test("a subscriber that was removed during the poll gets nothing", () => {
  const a = open("a", { 1: ["plan", null], 2: ["plan", null] });
  const groups = connections.subscribers.groups();
  connections.update(a.webSocket, stateWith({ 2: ["plan", null] }));
  const delivery = { livePosition: 9, refused: [], keys: ["key"] };
  deliver(connections, groups, { ...delivery, advances: [[0, 9, 0]] }, [`${CURSOR}1`]);
  assert.deepEqual(
    a.sent.map((text) => JSON.parse(text).id),
    ["2"],
  );
  assert.deepEqual([positionOf("a", "1"), positionOf("a", "2")], [undefined, 9]);
});

test("a refused group ends with its errors, and the other subscriptions go on", () => {
  const a = open("a", { 1: ["plan", null], 2: ["other", null] });
  const errors = [{ message: "no" }];
  deliverTexts([null, null], { advances: [[1, null, null]], refused: [[0, errors]] });
  assert.deepEqual(
    a.sent.map((text) => JSON.parse(text)),
    [{ id: "1", type: "error", payload: errors }],
  );
  assert.deepEqual([positionOf("a", "1"), positionOf("a", "2")], [undefined, null]);
  assert.deepEqual(
    connections.subscribers.groups().map(({ plan }) => plan),
    ["other"],
  );
});
