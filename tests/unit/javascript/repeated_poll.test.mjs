import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure } from "../../../resolvers/runtime/batches.mjs";
import { newExecution } from "../../../resolvers/runtime/commands.mjs";
import { prefetchReads, repeat } from "../../../tracker_do/repeated_poll.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { HEAD, readOf, SqliteD1 } from "../../support/d1.mjs";
import { installPython } from "../../support/tracker.mjs";

/** @type {SqliteD1} */
let database;

beforeEach(() => {
  installPython();
  configure({ textBytes: 1_000_000, tooBig: "too big" });
  database = env.DB = new SqliteD1();
});

/** @param {Partial<import("../../../tracker_do/repeated_poll.mjs").Template>} [more] */
const newPoll = (more = {}) => ({
  template: {
    head: HEAD,
    reads: [readOf("a"), readOf("b")],
    window: 3,
    isPrefetchable: true,
    ...more,
  },
  version: "1",
  plans: ["plan a", "plan b"],
  keys: ["events", "other"],
});

test("the window after the live position is read for each group, in one batch", async () => {
  database.append("a1", "a2", "b3");
  const execution = newExecution();
  const result = await repeat(newPoll(), 1, execution);
  assert.deepEqual(result, {
    livePosition: 3,
    advances: [
      [0, null, 0],
      [1, null, 1],
    ],
    refused: [],
    keys: ["events", "other"],
    more: false,
  });
  assert.deepEqual(execution.texts, ['0000000000000002["a2"]', '0000000000000003["b3"]']);
  assert.equal(database.batches.length, 1);
});

test("a window ends where the template says, and more follows", async () => {
  database.append("a1", "a2", "a3", "a4");
  const execution = newExecution();
  const result = await repeat(newPoll(), 0, execution);
  assert.deepEqual([result?.livePosition, result?.more], [3, true]);
  assert.deepEqual(execution.texts[0], '0000000000000003["a1","a2","a3"]');
});

test("a group without events gets no text", async () => {
  database.append("b1");
  const result = await repeat(newPoll(), 0, newExecution());
  assert.deepEqual(result?.advances, [
    [0, null, null],
    [1, null, 1],
  ]);
});

test("the template itself is not changed", async () => {
  database.append("a1", "a2");
  const poll = newPoll();
  await repeat(poll, 0, newExecution());
  assert.deepEqual(poll, newPoll());
  const execution = newExecution();
  await repeat(poll, 1, execution);
  assert.equal(execution.texts[0], '0000000000000002["a2"]');
});

test("a text longer than its share leaves the poll to Python", async () => {
  database.append("a1", `b${"x".repeat(100)}`);
  const reads = [readOf("a"), readOf("b", 50)];
  assert.equal(await repeat(newPoll({ reads }), 0, newExecution()), undefined);
});

test("a failure of D1 is thrown", async () => {
  database.failure = "D1_ERROR: Network connection lost.";
  await assert.rejects(repeat(newPoll(), 0, newExecution()), /Network connection lost/);
});

test("a prefetch begins at the head that the write stores, and reads all after it", () => {
  const reads = prefetchReads(newPoll());
  assert.deepEqual(
    reads.map(([plan, sql, parameters]) => [plan, sql === readOf("a")[0], parameters.slice(0, 3)]),
    [
      ["plan a", true, [null, Number.MAX_SAFE_INTEGER, "a%"]],
      ["plan b", true, [null, Number.MAX_SAFE_INTEGER, "b%"]],
    ],
  );
});
