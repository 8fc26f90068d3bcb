import assert from "node:assert/strict";
import test from "node:test";
import { Backlog } from "../../../tracker_do/backlog.mjs";
import { Members } from "../../../tracker_do/subscribers.mjs";
import { install } from "../../../tracker_do/python.mjs";

const never = () => assert.fail("Python is not called");
install(JSON.stringify({ unreadCharacters: 100, replays: 2 }), never, never, never, never, never);

/** A stand-in for a socket, which Members takes for a key and no more. */
const newSocket = () => /** @type {any} */ ({});
const known = () => ({ expires: Infinity, backlog: new Backlog() });

/** @param {Members} members */
const shown = (members) =>
  members.groups().map(({ feed, place, members: all }) => [feed, place, all.map(({ id }) => id)]);

test("subscriptions of one feed at one place are a group", () => {
  const members = new Members();
  const [a, b] = [newSocket(), newSocket()];
  members.add(a, "1", "feed", null, known());
  members.add(b, "1", "feed", null, known());
  members.add(a, "2", "feed", 5, known());
  members.add(b, "2", "other", null, known());
  assert.deepEqual(shown(members), [
    ["feed", null, ["1", "1"]],
    ["feed", 5, ["2"]],
    ["other", null, ["2"]],
  ]);
  assert.deepEqual([...members.feeds()], ["feed", "other"]);
});

for (const id of ["__proto__", "constructor", "toString", "hasOwnProperty", "1"]) {
  test(`${id} is an id as any other`, () => {
    const members = new Members();
    const socket = newSocket();
    members.add(socket, id, "feed", "", known());
    const [{ members: all }] = members.groups();
    members.move(all[0], 7);
    assert.deepEqual(shown(members), [["feed", 7, [id]]]);
    assert.equal(members.remove(socket, id), "feed");
    assert.equal(members.remove(socket, id), undefined);
    assert.equal(members.isEmpty, true);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });
}

test("a feed is given up with the last one who follows it", () => {
  const members = new Members();
  const [a, b] = [newSocket(), newSocket()];
  members.add(a, "1", "feed", null, known());
  members.add(b, "1", "feed", 3, known());
  const [{ members: all }] = members.groups();
  assert.equal(members.remove(a, "1"), undefined);
  assert.equal(all[0].gone, true);
  assert.equal(members.remove(b, "1"), "feed");
});

test("the version changes with the groups, and not with their size", () => {
  const members = new Members();
  const versions = [members.version];
  members.add(newSocket(), "1", "feed", null, known());
  versions.push(members.version);
  members.add(newSocket(), "1", "feed", null, known());
  assert.equal(members.version, versions[1]);
  members.move(members.groups()[0].members[0], 4);
  versions.push(members.version);
  assert.equal(new Set(versions).size, 3);
});

test("who catches up and has enough to read is left out, who is live is not", () => {
  const members = new Members();
  const full = known();
  full.backlog.add(100);
  members.add(newSocket(), "live", "feed", null, full);
  members.add(newSocket(), "behind", "feed", 4, full);
  members.add(newSocket(), "reads", "feed", 4, known());
  assert.deepEqual(shown(members), [
    ["feed", null, ["live"]],
    ["feed", 4, ["reads"]],
  ]);
});

test("of a socket with many that catch up some are read for at once, in turns", () => {
  const members = new Members();
  const socket = newSocket();
  const own = known();
  for (const id of ["a", "b", "c"]) members.add(socket, id, `feed ${id}`, "", own);
  members.add(newSocket(), "other", "feed d", "", known());
  const first = members.groups();
  assert.deepEqual(
    first.map(({ feed }) => feed),
    ["feed a", "feed b", "feed d"],
  );
  assert.equal(members.leftOut, true);
  for (const { members: all } of first) for (const member of all) members.move(member, null);
  assert.deepEqual(
    members.groups().map(({ feed, place }) => [feed, place]),
    [
      ["feed c", ""],
      ["feed a", null],
      ["feed b", null],
      ["feed d", null],
    ],
  );
  assert.equal(members.leftOut, false);
});
