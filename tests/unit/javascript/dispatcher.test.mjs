import assert from "node:assert/strict";
import test, { afterEach, beforeEach, mock } from "node:test";
import { configure } from "../../../resolvers/runtime/batches.mjs";
import { Dispatcher } from "../../../tracker_do/dispatcher.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { HEAD, readOf, SqliteD1 } from "../../support/d1.mjs";
import { DurableObject, installGlobals } from "../../support/durable_object.mjs";
import { installPython, openSocket, stateWith, wake } from "../../support/tracker.mjs";

/** @typedef {import("../../../tracker_do/poll.mjs").PollRequest} PollRequest */
/** @typedef {import("../../../tracker_do/poll.mjs").PollResult} PollResult */

const NOW_MS = 100_000;

/** @type {DurableObject} */
let object;
/** @type {SqliteD1} */
let database;
/** @type {ReturnType<typeof wake>} */
let tracker;
/** @type {Dispatcher} */
let dispatcher;
/** @type {PollRequest[]} the polls that Python was asked for */
let requests;
/** @type {string[]} errors in the log of the Worker */
let logged;

beforeEach(() => {
  mock.timers.enable({ apis: ["Date"], now: NOW_MS });
  logged = [];
  mock.method(console, "error", (/** @type {string} */ message) => void logged.push(message));
  configure({ textBytes: 1_000_000, tooBig: "too big" });
  database = env.DB = new SqliteD1();
  object = new DurableObject();
  installGlobals(object);
  answerWith(() => ({}));
  start();
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** Make the shard's objects, as when it wakes. */
function start() {
  tracker = wake(object);
  const { storage, alarm, connections } = tracker;
  dispatcher = new Dispatcher("shard-0", storage, connections, alarm);
}

/**
 * Have Python answer polls; a result is completed to one that advances all groups to the head.
 * @param {(request: PollRequest) => Partial<PollResult>} result
 */
function answerWith(result) {
  requests = [];
  /** @type {PollRequest} */
  let current;
  installPython({
    poll(request) {
      current = JSON.parse(request);
      requests.push(current);
      return JSON.stringify({ task: 1, batch: [HEAD] });
    },
    resume(_, outcome) {
      const { outcomes, error } = JSON.parse(outcome);
      if (error !== undefined) return JSON.stringify({ done: { failed: error } });
      const head = outcomes[0][0];
      return JSON.stringify({ done: { ...advanceAll(current, head), ...result(current) } });
    },
  });
}

/** @param {PollRequest} request @param {number} head */
const advanceAll = ({ groups }, head) => ({
  livePosition: head,
  window: 1000,
  more: false,
  advances: groups.map((_, group) => [group, null, null]),
  refused: [],
  keys: groups.map(() => "key"),
});

/** A template that reads the events whose data begins with the plan's name. */
const templateFor = (
  /** @type {PollRequest} */ { groups },
  /** @type {Partial<import("../../../tracker_do/repeated_poll.mjs").Template>} */ more = {},
) => ({
  head: HEAD,
  reads: groups.map(([plan]) => readOf(plan)),
  window: 1000,
  isPrefetchable: true,
  ...more,
});

/**
 * Have Python give a template once all groups are live, and poll until it has.
 * @param {Parameters<typeof templateFor>[1]} [more]
 */
async function becomeRepeatable(more) {
  answerWith((request) => {
    const areLive = request.groups.every(([, position]) => position === null);
    return areLive ? { template: templateFor(request, more) } : {};
  });
  await dispatcher.run();
  await dispatcher.run();
  requests = [];
  dispatcher.hasAdvanced();
}

/** @param {string} name @param {Parameters<typeof stateWith>[0]} [subscriptions] */
const open = (name, subscriptions = { 1: ["a", ""] }) =>
  openSocket(object, tracker.connections, name, stateWith(subscriptions));

/** The data of a socket's results. */
const dataOf = (/** @type {import("../../support/durable_object.mjs").Socket} */ socket) =>
  socket.sent.map((text) => JSON.parse(text).payload.data.key);

// --- the loop

test("a poll describes the shard and its groups", async () => {
  database.append("a1");
  open("a", { 1: ["a", ""], 2: ["b", 0] });
  await dispatcher.run();
  assert.deepEqual(requests, [
    {
      shard: "shard-0",
      registered: false,
      livePosition: 0,
      window: 1000,
      groups: [
        ["a", ""],
        ["b", 0],
      ],
      definitions: {},
    },
  ]);
  assert.equal(tracker.connections.livePosition, 1);
});

test("the next poll begins with the window and the registration of the last", async () => {
  open("a");
  answerWith(() => ({ window: 7 }));
  await dispatcher.run();
  await dispatcher.run();
  assert.deepEqual(
    requests.map(({ window, registered }) => [window, registered]),
    [
      [1000, false],
      [7, true],
    ],
  );
});

test("calls during a poll lead to one more poll", async () => {
  open("a");
  await Promise.all([dispatcher.run(), dispatcher.run(), dispatcher.run(), dispatcher.run()]);
  assert.equal(dispatcher.counts.polls, 2);
});

test("polls go on while there is more", async () => {
  open("a");
  answerWith(() => ({ more: requests.length < 3 }));
  await dispatcher.run();
  assert.equal(requests.length, 3);
});

test("polls go on for subscriptions that were left out", async () => {
  const plans = Array.from({ length: 9 }, (_, n) => `plan ${n}`);
  open("a", Object.fromEntries(plans.map((plan) => [plan, [plan, ""]])));
  await dispatcher.run();
  // Eight of a connection at most (pollReplays), and then the ninth beside them.
  assert.deepEqual(
    requests.map(({ groups }) => groups.length),
    [8, 9],
  );
});

test("nothing is polled while all subscribers have enough to read", async () => {
  const a = open("a", { 1: ["a", 0] });
  tracker.connections.send(a.webSocket, "x".repeat(1000));
  await dispatcher.run();
  assert.equal(dispatcher.counts.polls, 0);
});

test("events are noted once", async () => {
  database.append("a1");
  open("a");
  await dispatcher.run();
  assert.deepEqual([dispatcher.hasAdvanced(), dispatcher.hasAdvanced()], [true, false]);
  await dispatcher.run();
  assert.equal(dispatcher.hasAdvanced(), false);
});

test("a shard without subscribers is unregistered, and registers again with the next one", async () => {
  const a = open("a");
  await dispatcher.run();
  tracker.connections.drop(a.webSocket);
  answerWith(() => ({ unregistered: true }));
  await dispatcher.run();
  assert.deepEqual(requests[0].groups, []);
  answerWith(() => ({}));
  open("b");
  await dispatcher.run();
  assert.deepEqual(
    requests.map(({ registered }) => registered),
    [false],
  );
});

// --- failures

test("a poll that fails is made again after a second, then two, four, up to the limit", async () => {
  open("a");
  database.failure = "D1_ERROR: Network connection lost.";
  const delays = [];
  for (let failure = 1; failure <= 8; failure += 1) {
    // The count survives an eviction; the alarm has fired.
    object.alarm = null;
    start();
    await dispatcher.run();
    delays.push(/** @type {any} */ (object.alarm) - NOW_MS);
  }
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  assert.match(logged[0], /shard-0 could not read the log, again in 1000 ms: .*connection lost/);
  database.failure = undefined;
  await dispatcher.run();
  assert.equal(tracker.storage.failures, 0);
});

test("subscribers of a poll that failed stay where they are, and lose nothing", async () => {
  const a = open("a");
  await becomeRepeatable();
  database.append("a1");
  database.failure = "D1_ERROR: Network connection lost.";
  await dispatcher.run();
  assert.deepEqual([a.sent, tracker.connections.livePosition], [[], 0]);
  database.failure = undefined;
  await dispatcher.run();
  assert.deepEqual([dataOf(a), tracker.connections.livePosition], [[["a1"]], 1]);
});

test("a definition that was lost closes its subscribers, and the others go on", async () => {
  const [lost, other] = [open("lost", { 1: ["lost", ""] }), open("other", { 1: ["a", ""] })];
  tracker.storage.storeDefinition(["a", "document", "{ a }", "[]"]);
  answerWith(({ groups, definitions }) => {
    const unknown = groups.map(([plan]) => plan).filter((plan) => !(plan in definitions));
    return unknown.length > 0 ? { unknown } : {};
  });
  await dispatcher.run();
  assert.deepEqual([lost.code, other.code], [1011, undefined]);
  assert.match(logged[0], /definitions were not stored: lost/);
  await dispatcher.run();
  assert.deepEqual(requests.at(-1)?.definitions, { a: ["{ a }", "[]"] });
  assert.equal(tracker.storage.failures, 0);
});

// --- repeated polls

test("a poll of the same groups is repeated without Python", async () => {
  const a = open("a");
  await becomeRepeatable();
  database.append("a1", "b2", "a3");
  await dispatcher.run();
  database.append("a4");
  await dispatcher.run();
  assert.deepEqual(dataOf(a), [["a1", "a3"], ["a4"]]);
  assert.deepEqual([requests.length, dispatcher.counts.polls], [0, 4]);
});

test("repeated polls go on while there is more", async () => {
  const a = open("a");
  await becomeRepeatable({ window: 2 });
  database.append("a1", "a2", "a3");
  await dispatcher.run();
  assert.deepEqual(dataOf(a), [["a1", "a2"], ["a3"]]);
  assert.equal(requests.length, 0);
});

test("Python polls once the groups are others", async () => {
  open("a");
  await becomeRepeatable();
  open("same group", { 1: ["a", null] });
  await dispatcher.run();
  assert.equal(requests.length, 0);
  open("new group", { 1: ["b", ""] });
  await dispatcher.run();
  assert.equal(requests.length, 1);
});

test("Python polls if the repeated poll fails or a text is too long", async () => {
  const a = open("a");
  await becomeRepeatable({ reads: [readOf("a", 40)] });
  database.append(`a${"x".repeat(100)}`);
  await dispatcher.run();
  assert.deepEqual([requests.length, tracker.connections.livePosition], [1, 1]);
  const { batch } = database;
  let batches = 0;
  // Fails once, for the repeated poll.
  database.batch = async (statements) => {
    if ((batches += 1) === 1) throw new Error("D1_ERROR: no such table");
    return batch.call(database, statements);
  };
  await dispatcher.run();
  assert.deepEqual([requests.length, batches, logged.length, a.code], [2, 2, 0, undefined]);
});

// --- prefetches

/** Live subscribers of the plans a and b, after a poll that may be prefetched. */
async function prefetchable() {
  const sockets = [open("a"), open("b", { 1: ["b", ""] })];
  await becomeRepeatable();
  const prefetch = dispatcher.prefetch();
  assert.ok(prefetch);
  return { sockets, id: prefetch.id, prefetch };
}
const TEXTS = { a: '0000000000000001["a1"]', b: null };

test("a prefetch has the reads of the next poll, if a write may run them", async () => {
  assert.equal(dispatcher.prefetch(), undefined);
  const { prefetch } = await prefetchable();
  assert.deepEqual(
    prefetch.reads.map(([plan]) => plan),
    ["a", "b"],
  );
  start();
  await becomeRepeatable({ isPrefetchable: false });
  assert.equal(dispatcher.prefetch(), undefined);
});

test("a poll that cannot be repeated leaves nothing to prefetch", async () => {
  await prefetchable();
  open("c", { 1: ["c", ""] });
  answerWith(() => ({}));
  await dispatcher.run();
  assert.equal(dispatcher.prefetch(), undefined);
});

test("prefetched texts are delivered without a poll", async () => {
  const { sockets, id } = await prefetchable();
  await dispatcher.deliverPrefetched({ id, from: 0, to: 1, texts: TEXTS });
  assert.deepEqual(sockets.map(dataOf), [[["a1"]], []]);
  assert.equal(tracker.connections.livePosition, 1);
  assert.deepEqual(dispatcher.counts, { polls: 2, prefetched: 1 });
  assert.equal(dispatcher.hasAdvanced(), true);
  // The next prefetch continues it.
  await dispatcher.deliverPrefetched({ id, from: 1, to: 2, texts: { a: null, b: null } });
  assert.equal(tracker.connections.livePosition, 2);
});

test("prefetched texts are dropped unless they continue what was sent", async () => {
  const { sockets, id } = await prefetchable();
  for (const prefetched of [
    { id, from: 1, to: 2, texts: TEXTS },
    { id: "another version", from: 0, to: 1, texts: TEXTS },
    // More events than a poll reads.
    { id, from: 0, to: 1001, texts: TEXTS },
  ]) {
    assert.equal(dispatcher.deliverPrefetched(prefetched), undefined);
  }
  open("new", { 1: ["a", 0] });
  assert.equal(dispatcher.deliverPrefetched({ id, from: 0, to: 1, texts: TEXTS }), undefined);
  assert.deepEqual(sockets.map(dataOf), [[], []]);
  assert.equal(dispatcher.counts.prefetched, 0);
});

test("prefetched texts are dropped during a poll, which may read the same events", async () => {
  const { sockets, id } = await prefetchable();
  database.append("a1");
  const polling = dispatcher.run();
  assert.equal(dispatcher.deliverPrefetched({ id, from: 0, to: 1, texts: TEXTS }), undefined);
  await polling;
  assert.deepEqual(sockets.map(dataOf), [[["a1"]], []]);
});

test("notifications while prefetched texts are sent lead to one poll", async () => {
  const { id } = await prefetchable();
  database.append("a1", "a2");
  const delivering = dispatcher.deliverPrefetched({ id, from: 0, to: 1, texts: TEXTS });
  await Promise.all([delivering, dispatcher.run(), dispatcher.run()]);
  assert.deepEqual(dispatcher.counts, { polls: 3, prefetched: 1 });
  assert.equal(tracker.connections.livePosition, 2);
});
