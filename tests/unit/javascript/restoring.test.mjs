import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { DurableObject } from "../../support/durable_object.mjs";
import { installPython, openSocket, stateWith, wake } from "../../support/tracker.mjs";

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

/** The groups of an object that has just woken, as plan, position and ids. */
const restored = () =>
  wake(object)
    .connections.subscribers.groups()
    .map(({ plan, position, subscribers }) => [plan, position, subscribers.map(({ id }) => id)]);

test("an eviction leaves all subscribers at their positions", () => {
  open("a", stateWith({ 1: ["plan", null], 2: ["plan", 5] }));
  open("b", stateWith({ 3: ["plan", null], 4: ["other", "7"] }));
  tracker.connections.advance(9);
  assert.deepEqual(restored(), [
    ["plan", null, ["1", "3"]],
    ["plan", 5, ["2"]],
    ["other", "7", ["4"]],
  ]);
});

test("restored subscribers have the expiry and the backlog of their connections", () => {
  const socket = open("a", stateWith({ 1: ["plan", 5] }, { principal: { key: "key", exp: 60 } }));
  const { connections } = wake(object);
  const [{ subscribers }] = connections.subscribers.groups();
  assert.equal(subscribers[0].expiresAt, 60_000);
  assert.equal(subscribers[0].backlog, connections.backlog(socket.webSocket));
});

test("without the live position, connections with live subscriptions have to resume", () => {
  const live = open("live", stateWith({ 1: ["plan", 5], 2: ["plan", null] }));
  const replaying = open("replaying", stateWith({ 1: ["plan", 5] }));
  const idle = open("idle");
  assert.deepEqual(restored(), [["plan", 5, ["1"]]]);
  assert.deepEqual([live.code, replaying.code, idle.code], [1012, undefined, undefined]);
});

test("connections whose keys are not configured any more are closed", () => {
  /** @type {string[]} */
  let asked = [];
  const revokedKeys = (/** @type {string} */ keys) => ((asked = JSON.parse(keys)), '["old"]');
  installPython({ revokedKeys });
  const states = ["old", "new", "old"].map((key) =>
    stateWith({ 1: ["plan", 5] }, { principal: { key } }),
  );
  const sockets = states.map((state, n) => open(`${n}`, state));
  const waiting = open("waiting", stateWith({}, { principal: undefined }));
  assert.deepEqual(restored(), [["plan", 5, ["1"]]]);
  assert.deepEqual(asked, ["old", "new"]);
  assert.deepEqual(
    sockets.map(({ code }) => code),
    [4403, undefined, 4403],
  );
  assert.equal(waiting.code, undefined);
});

test("a revoked connection that keeps the live position hands it on", () => {
  installPython({ revokedKeys: () => '["old"]' });
  for (const n of [1, 2, 3]) {
    open(`old ${n}`, stateWith({ 1: ["plan", null] }, { principal: { key: "old" } }));
  }
  open("new", stateWith({ 2: ["plan", null] }));
  tracker.connections.advance(9);
  const { connections } = wake(object);
  assert.equal(connections.livePosition, 9);
  assert.equal(connections.count, 1);
  object.sockets.splice(0, 3);
  assert.deepEqual(restored(), [["plan", null, ["2"]]]);
});

test("what belongs to connections that are gone is deleted", () => {
  const { storage } = tracker;
  for (const plan of ["plan", "other"]) storage.storeDefinition([plan, plan, "{ a }", "[]"]);
  const large = { ["x".repeat(20_000)]: /** @type {[string, number]} */ (["plan", 5]) };
  open("stays", stateWith(large));
  open("gone", stateWith({ ...large, 2: ["other", 5] }));
  object.sockets.pop();
  assert.equal(object.rows("SELECT count(*) FROM attachments")[0][0], 2);
  restored();
  assert.equal(object.rows("SELECT count(*) FROM attachments")[0][0], 1);
  assert.deepEqual(object.rows("SELECT digest FROM feeds"), [["plan"]]);
});
