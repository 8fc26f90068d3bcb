import assert from "node:assert/strict";
import test from "node:test";
import { Backlog } from "../../../tracker_do/backlog.mjs";
import { Subscribers } from "../../../tracker_do/subscribers.mjs";
import { install } from "../../../tracker_do/python.mjs";

const never = () => assert.fail("Python is not called");
install(
  JSON.stringify({ limits: { unreadCharacters: 100, pollReplays: 2 } }),
  never,
  never,
  never,
  never,
  never,
);

/** A stand-in for a socket, which Subscribers takes for a key and no more. */
const newSocket = () => /** @type {any} */ ({});
const known = () => ({ expiresAt: Infinity, backlog: new Backlog() });

/** @param {Subscribers} subscribers */
const shown = (subscribers) =>
  subscribers
    .groups()
    .map(({ plan, position, subscribers: all }) => [plan, position, all.map(({ id }) => id)]);

test("subscriptions of one plan at one position are a group", () => {
  const subscribers = new Subscribers();
  const [a, b] = [newSocket(), newSocket()];
  subscribers.add(a, "1", "plan", null, known());
  subscribers.add(b, "1", "plan", null, known());
  subscribers.add(a, "2", "plan", 5, known());
  subscribers.add(b, "2", "other", null, known());
  assert.deepEqual(shown(subscribers), [
    ["plan", null, ["1", "1"]],
    ["plan", 5, ["2"]],
    ["other", null, ["2"]],
  ]);
  assert.deepEqual([...subscribers.plans()], ["plan", "other"]);
});

for (const id of ["__proto__", "constructor", "toString", "hasOwnProperty", "1"]) {
  test(`${id} is an id as any other`, () => {
    const subscribers = new Subscribers();
    const socket = newSocket();
    subscribers.add(socket, id, "plan", "", known());
    const [{ subscribers: all }] = subscribers.groups();
    subscribers.move(all[0], 7);
    assert.deepEqual(shown(subscribers), [["plan", 7, [id]]]);
    assert.equal(subscribers.remove(socket, id), "plan");
    assert.equal(subscribers.remove(socket, id), undefined);
    assert.equal(subscribers.isEmpty, true);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });
}

test("a plan is given up with the last one who follows it", () => {
  const subscribers = new Subscribers();
  const [a, b] = [newSocket(), newSocket()];
  subscribers.add(a, "1", "plan", null, known());
  subscribers.add(b, "1", "plan", 3, known());
  const [{ subscribers: all }] = subscribers.groups();
  assert.equal(subscribers.remove(a, "1"), undefined);
  assert.equal(all[0].isRemoved, true);
  assert.equal(subscribers.remove(b, "1"), "plan");
});

test("the version changes with the groups, and not with their size", () => {
  const subscribers = new Subscribers();
  const versions = [subscribers.version];
  subscribers.add(newSocket(), "1", "plan", null, known());
  versions.push(subscribers.version);
  subscribers.add(newSocket(), "1", "plan", null, known());
  assert.equal(subscribers.version, versions[1]);
  subscribers.move(subscribers.groups()[0].subscribers[0], 4);
  versions.push(subscribers.version);
  assert.equal(new Set(versions).size, 3);
});

test("who catches up and has enough to read is left out, who is live is not", () => {
  const subscribers = new Subscribers();
  const full = known();
  full.backlog.add(100);
  subscribers.add(newSocket(), "live", "plan", null, full);
  subscribers.add(newSocket(), "behind", "plan", 4, full);
  subscribers.add(newSocket(), "reads", "plan", 4, known());
  assert.deepEqual(shown(subscribers), [
    ["plan", null, ["live"]],
    ["plan", 4, ["reads"]],
  ]);
});

test("of a socket with many that catch up some are read for at once, in turns", () => {
  const subscribers = new Subscribers();
  const socket = newSocket();
  const own = known();
  for (const id of ["a", "b", "c"]) subscribers.add(socket, id, `plan ${id}`, "", own);
  subscribers.add(newSocket(), "other", "plan d", "", known());
  const first = subscribers.groups();
  assert.deepEqual(
    first.map(({ plan }) => plan),
    ["plan a", "plan b", "plan d"],
  );
  assert.equal(subscribers.hasLeftOut, true);
  for (const { subscribers: all } of first)
    for (const member of all) subscribers.move(member, null);
  assert.deepEqual(
    subscribers.groups().map(({ plan, position }) => [plan, position]),
    [
      ["plan c", ""],
      ["plan a", null],
      ["plan b", null],
      ["plan d", null],
    ],
  );
  assert.equal(subscribers.hasLeftOut, false);
});
