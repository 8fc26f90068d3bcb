import assert from "node:assert/strict";
import test from "node:test";
import { Backlog } from "../../../tracker_do/backlog.mjs";
import { install } from "../../../tracker_do/python.mjs";

const never = () => assert.fail("Python is not called");
install(JSON.stringify({ unreadCharacters: 100 }), never, never, never, never, never);

test("half of what may be unread makes a ping due, all of it is full", () => {
  const backlog = new Backlog();
  backlog.add(49);
  assert.deepEqual([backlog.isPingDue, backlog.isFull], [false, false]);
  backlog.add(1);
  assert.deepEqual([backlog.isPingDue, backlog.isFull], [true, false]);
  backlog.add(50);
  assert.deepEqual([backlog.isPingDue, backlog.isFull], [true, true]);
});

test("a pong says that what was sent before the ping has been read, and no more", () => {
  const backlog = new Backlog();
  backlog.add(60);
  backlog.ping();
  backlog.add(70);
  assert.deepEqual([backlog.isPingDue, backlog.isFull], [false, true]);
  assert.equal(backlog.pong(), true);
  assert.deepEqual([backlog.isPingDue, backlog.isFull], [true, false]);
});

test("a pong that answers no ping changes nothing", () => {
  const backlog = new Backlog();
  backlog.add(100);
  assert.equal(backlog.pong(), false);
  assert.equal(backlog.isFull, true);
});

test("what waits for room goes on with the pong, or when the socket is closed", async () => {
  for (const end of /** @type {const} */ (["pong", "close"])) {
    const backlog = new Backlog();
    backlog.add(100);
    backlog.ping();
    let resumed = false;
    const waiting = backlog.room().then(() => (resumed = true));
    await Promise.resolve();
    assert.equal(resumed, false);
    backlog[end]();
    await waiting;
  }
});

test("a ping that was not answered when the object was evicted keeps the socket full", () => {
  const backlog = new Backlog(5);
  assert.deepEqual([backlog.pingedAt, backlog.isFull, backlog.isPingDue], [5, true, false]);
  backlog.pong();
  assert.deepEqual([backlog.pingedAt, backlog.isFull], [undefined, false]);
});
