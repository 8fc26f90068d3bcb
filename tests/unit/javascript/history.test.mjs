import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { describe, History } from "../../../follower_do/history.mjs";
import { installFollower } from "../../support/follower.mjs";

/** @type {((result: any) => void)[]} */
let waiting;
/** @type {any[]} what `next()` gives: an event, an Error, or undefined at the end */
let given;
let closed = 0;
/** @type {any} */
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
const workflow = {
  get: async () => ({
    subscribe: async (/** @type {any} */ asked) => ((options = asked), subscription),
  }),
};

const event = (/** @type {number} */ eventId, more = {}) => ({
  eventId,
  timestamp: 1000 + eventId,
  type: "step_completed",
  stepName: `s-${eventId}`,
  ...more,
});
const open = (after = 0) => History.open(workflow, "i", after);
const ids = (/** @type {{ events: { id: number }[] }} */ { events }) => events.map(({ id }) => id);

beforeEach(() => {
  [waiting, given, closed] = [[], [], 0];
  installFollower({ events: 3, bytes: 100 });
});

test("a history is opened behind an event, or at its beginning", async () => {
  await open(7);
  assert.deepEqual(options, { cursor: 7 });
  await open();
  assert.deepEqual(options, {});
});

test("a history that the engine does not open in time is an error, and is closed later", async () => {
  /** @type {(value: any) => void} */
  let subscribe = () => {};
  const slow = {
    get: async () => ({ subscribe: () => new Promise((done) => (subscribe = done)) }),
  };
  await assert.rejects(History.open(slow, "i", 0), /did not open it/);
  subscribe(subscription);
  await new Promise((done) => setTimeout(done));
  assert.equal(closed, 1);
});

test("parts have at most so many events and bytes", async () => {
  given = [1, 2, 3, 4].map((id) => event(id));
  const history = await open();
  assert.deepEqual(ids(await history.read()), [1, 2, 3]);
  given.push(event(5, { output: "x".repeat(40) }), event(6, { output: "x".repeat(58) }), event(7));
  assert.deepEqual(ids(await history.read()), [4, 5, 6]);
  given.push(event(8, { output: "x".repeat(50) }), event(9, { output: "x".repeat(50) }));
  assert.deepEqual(ids(await history.read()), [7, 8, 9]);
});

test("an event that came too late for a part is in the next one", async () => {
  given = [event(1)];
  const history = await open();
  assert.deepEqual(ids(await history.read()), [1]);
  assert.deepEqual(await history.read(), { events: [], isOver: false });
  assert.equal(waiting.length, 1);
  waiting[0]({ done: false, value: event(2) });
  assert.deepEqual(ids(await history.read()), [2]);
});

test("the end of a history comes with its last events, and again", async () => {
  given = [event(1), undefined, undefined];
  const history = await open();
  const { events, isOver } = await history.read();
  assert.deepEqual([events.length, isOver], [1, true]);
  assert.deepEqual(await history.read(), { events: [], isOver: true });
});

test("what came before an error is returned first", async () => {
  given = [event(1), new Error("Aborting engine: User called restart")];
  const history = await open();
  assert.deepEqual(ids(await history.read()), [1]);
  await assert.rejects(history.read(), /User called restart/);
  history.close();
  assert.equal(closed, 1);
});

test("an event is described without what it does not have", () => {
  assert.deepEqual(describe({ eventId: 1, timestamp: 2, type: "workflow_queued" }), {
    id: 1,
    at: 2,
    type: "workflow_queued",
  });
  const failed = { attempt: 2, error: { name: "E", message: "no" }, retryDelayMs: 0 };
  assert.deepEqual(describe(event(3, { type: "attempt_errored", ...failed })), {
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
    assert.deepEqual(describe(event(1, { error })).error, described);
  });
}

test("a value has its text and its kind", () => {
  for (const [type, name] of [
    ["step_completed", "output"],
    ["workflow_completed", "output"],
    ["workflow_started", "params"],
  ]) {
    const { value, kind } = describe(event(1, { type, [name]: [12n] }));
    assert.deepEqual([value, kind], ['["12"]', "CONVERTED"]);
    // The engine may leave out what is undefined.
    const absent = describe(event(1, { type }));
    assert.deepEqual([absent.value, absent.kind], ["null", "UNDEFINED"]);
  }
});

test("a stream is cancelled", async () => {
  /** @type {Promise<unknown>} */
  const cancelled = new Promise((done) => {
    const output = new ReadableStream({ cancel: done });
    assert.equal(describe(event(1, { output })).value, '{"stream":true}');
  });
  await cancelled;
});
