import assert from "node:assert/strict";
import test from "node:test";
import { Backlog } from "../../../tracker_do/backlog.mjs";
import { install } from "../../../tracker_do/python.mjs";

const never = () => assert.fail("Python is not called");
install(
  JSON.stringify({ limits: { unreadCharacters: 100, operations: 2, pollReplays: 8 } }),
  never,
  never,
  never,
  never,
  never,
);

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

test("an operation waits for room, and goes on with the pong or when the socket is closed", async () => {
  for (const end of /** @type {const} */ (["pong", "close"])) {
    const backlog = new Backlog();
    backlog.add(100);
    backlog.ping();
    let executed = false;
    const waiting = backlog.execute(async () => void (executed = true));
    await Promise.resolve();
    assert.equal(executed, false);
    backlog[end]();
    await waiting;
    assert.equal(executed, true);
  }
});

test("few operations are executed at the same time, and none once their answers fill the socket", async () => {
  const backlog = new Backlog();
  let running = 0;
  let most = 0;
  let done = 0;
  const operations = Array.from({ length: 10 }, () =>
    backlog.execute(async () => {
      most = Math.max(most, (running += 1));
      await new Promise((resume) => setImmediate(resume));
      running -= 1;
      done += 1;
      backlog.add(30);
    }),
  );
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resume) => setImmediate(resume));
  // Two had begun before the fourth answer filled it.
  assert.deepEqual([most, done <= 5], [2, true]);
  while (done < 10) {
    backlog.ping();
    backlog.pong();
    await new Promise((resume) => setImmediate(resume));
  }
  await Promise.all(operations);
  assert.equal(most, 2);
});

test("an operation that fails makes room for the next", async () => {
  const backlog = new Backlog();
  const fails = () => Promise.reject(new Error("no"));
  await assert.rejects(backlog.execute(fails));
  await assert.rejects(backlog.execute(fails));
  await backlog.execute(async () => {});
});

test("fewer subscriptions are read for once their texts fill the socket", () => {
  const backlog = new Backlog();
  assert.equal(backlog.allowance, 8);
  backlog.add(200);
  assert.deepEqual([backlog.allowance, backlog.isOverfull], [0, true]);
  backlog.ping();
  backlog.pong();
  assert.deepEqual([backlog.allowance, backlog.isOverfull], [1, false]);
  for (const next of [2, 4, 8, 8]) {
    backlog.add(1);
    assert.equal(backlog.allowance, next);
  }
});

test("a ping that was not answered when the object was evicted keeps the socket full", () => {
  const backlog = new Backlog(5);
  assert.deepEqual([backlog.pingedAt, backlog.isFull, backlog.isPingDue], [5, true, false]);
  backlog.pong();
  assert.deepEqual([backlog.pingedAt, backlog.isFull], [undefined, false]);
});
