import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { describe, openHistory } from "../../../follower_do/history.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { HISTORY } from "../../support/follower.mjs";

const LIMITS = { ...HISTORY, events: 3, bytes: 100 };

/** @type {((result: any) => void)[]} */
let waiting;
/** @type {any[]} what `next()` gives: an event, an Error, or undefined at the end */
let given;
let closed = 0;
/** @type {any[]} */
let options;

const subscription = {
  next: () => {
    if (given.length === 0) return new Promise((resolve) => waiting.push(resolve));
    const [result] = given.splice(0, 1);
    if (result instanceof Error) return Promise.reject(result);
    return Promise.resolve({ done: result === undefined, value: result });
  },
  [/** @type {any} */ (Symbol).dispose]: () => void (closed += 1),
};
env.W = {
  get: async () => ({
    subscribe: async (/** @type {any} */ asked) => (options.push(asked), subscription),
  }),
};

const event = (/** @type {number} */ eventId, more = {}) => ({
  eventId,
  timestamp: 1000 + eventId,
  type: "step_completed",
  stepName: `s-${eventId}`,
  ...more,
});
/** Open a history. @param {number} [after] @param {object} [limits] */
const open = (after = 0, limits = {}) =>
  openHistory("W", "i", after, JSON.stringify({ ...LIMITS, ...limits }));
/** @param {{ events: string, count: number }} part */
const ids = ({ events, count }) => {
  const all = JSON.parse(events).map((/** @type {any} */ { id }) => id);
  assert.equal(all.length, count);
  return all;
};

beforeEach(() => {
  [waiting, given, closed, options] = [[], [], 0, []];
});

test("a history is opened behind an event, or at its beginning", async () => {
  await open(7);
  await open();
  assert.deepEqual(options, [{ cursor: 7 }, {}]);
});

test("parts have at most so many events and bytes", async () => {
  given = [1, 2, 3, 4].map((id) => event(id));
  const history = await open();
  assert.deepEqual(ids(await history.read(20)), [1, 2, 3]);
  given.push(event(5, { output: "x".repeat(40) }), event(6, { output: "x".repeat(58) }), event(7));
  const part = await history.read(20);
  assert.deepEqual(ids(part), [4, 5, 6]);
  // An event without an output has the value null.
  assert.equal(part.bytes, 106);
  given.push(event(8, { output: "x".repeat(50) }), event(9, { output: "x".repeat(50) }));
  assert.deepEqual(ids(await history.read(20)), [7, 8, 9]);
});

test("an event that came too late for a part is in the next one", async () => {
  given = [event(1)];
  const history = await open();
  assert.deepEqual(ids(await history.read(20)), [1]);
  assert.deepEqual(ids(await history.read(20)), []);
  // Several events are asked for at once.
  assert.equal(waiting.length, LIMITS.ahead);
  waiting[0]({ done: false, value: event(2) });
  assert.deepEqual(ids(await history.read(20)), [2]);
});

test("a part ends some time after its first event, whatever else comes", async () => {
  const history = await open(0, { events: 1_000, pauseMs: 20, partMs: 40 });
  let id = 0;
  const coming = setInterval(() => waiting.shift()?.({ done: false, value: event((id += 1)) }), 5);
  const began = Date.now();
  const part = await history.read(1_000);
  clearInterval(coming);
  assert(part.count > 1 && Date.now() - began < 500, `${part.count} events`);
});

test("the end of a history comes with its last events, and again", async () => {
  given = [event(1), undefined, undefined];
  const history = await open();
  const { events, isOver } = await history.read(20);
  assert.deepEqual([JSON.parse(events).length, isOver], [1, true]);
  assert.deepEqual((await history.read(20)).isOver, true);
});

test("what came before an error is returned first", async () => {
  given = [event(1), new Error("Aborting engine: User called restart")];
  const history = await open();
  assert.deepEqual(ids(await history.read(20)), [1]);
  await assert.rejects(history.read(20), /User called restart/);
  history.close();
  assert.equal(closed, 1);
});

test("a reader reads no more after so many calls of the engine", async () => {
  given = [1, 2, 3, 4].map((id) => event(id));
  const history = await open(0, { calls: 2 });
  assert.deepEqual(ids(await history.read(20)), [1, 2]);
  assert.equal((await history.read(20)).isSpent, true);
});

test("the beginning of a run is its first event of that type", async () => {
  given = [event(3, { type: "workflow_running" })];
  const history = await open(9);
  assert.equal(await history.began(), 1003);
  assert.deepEqual(options[1], { filter: ["workflow_running"] });
  assert.equal(closed, 1);
  // It has not begun yet, or its history is over before it has.
  assert.equal(await history.began(), null);
  given = [undefined];
  assert.equal(await history.began(), null);
});

test("an event is described without what it does not have", () => {
  assert.deepEqual(describe({ eventId: 1, timestamp: 2, type: "workflow_queued" }, LIMITS), {
    id: 1,
    at: 2,
    type: "workflow_queued",
  });
  const failed = { attempt: 2, error: { name: "E", message: "no" }, retryDelayMs: 0 };
  assert.deepEqual(describe(event(3, { type: "attempt_errored", ...failed }), LIMITS), {
    id: 3,
    at: 1003,
    type: "attempt_errored",
    step: "s-3",
    attempt: 2,
    error: ["E", "no"],
    details: { retryDelayMs: 0 },
  });
});

for (const [error, described] of /** @type {[unknown, string[]][]} */ ([
  ["text", ["Error", "text"]],
  [null, ["Error", "null"]],
  [0, ["Error", "0"]],
  [{}, ["Error", "[object Object]"]],
  [new TypeError("no"), ["TypeError", "no"]],
])) {
  test(`the error ${String(error)} has a name and a message`, () => {
    assert.deepEqual(describe(event(1, { error }), LIMITS).error, described);
  });
}

test("a value has its text and its kind", () => {
  for (const [type, name] of [
    ["step_completed", "output"],
    ["workflow_completed", "output"],
    ["workflow_started", "params"],
  ]) {
    const { value, kind } = describe(event(1, { type, [name]: [12n] }), LIMITS);
    assert.deepEqual([value, kind], ['["12"]', "CONVERTED"]);
    // The engine may leave out what is undefined.
    const absent = describe(event(1, { type }), LIMITS);
    assert.deepEqual([absent.value, absent.kind], ["null", "UNDEFINED"]);
  }
});

test("a stream is cancelled", async () => {
  /** @type {Promise<unknown>} */
  const cancelled = new Promise((done) => {
    const output = new ReadableStream({ cancel: done });
    assert.equal(describe(event(1, { output }), LIMITS).value, '{"stream":true}');
  });
  await cancelled;
});
