import assert from "node:assert/strict";
import test, { beforeEach, mock } from "node:test";
import { Follower } from "../../../follower_do/follower.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { installFollower } from "../../support/follower.mjs";
import { ObjectStorage } from "../../support/platform.mjs";

const INSTANCE = { workflow: "w", binding: "W", id: "i" };

/** @type {ObjectStorage} */
let storage;
/** @type {Follower} */
let follower;
/** @type {any[][]} the calls of Python */
let calls;
/** @type {object[]} the results of its `begin`, and of its `record` */
let begun;
/** @type {object[]} */
let courses;
/** @type {(after: number) => any} what opening a history gives; throws if it fails */
let subscribe;

beforeEach(() => {
  mock.method(console, "warn", () => {});
  storage = new ObjectStorage();
  [calls, begun, courses] = [[], [], []];
  installFollower(
    {},
    {
      begin: (...values) => {
        calls.push(["begin", ...values]);
        return begun.shift() ?? { reading: calls.length, after: 0 };
      },
      record: (reading, events, isOver) => {
        calls.push(["record", events.map(({ id }) => id), isOver]);
        return courses.shift() ?? { ended: true };
      },
    },
  );
  subscribe = () => events(1, 2);
  env.W = {
    get: async () => ({
      subscribe: async (/** @type {any} */ { cursor = 0 }) => subscribe(cursor),
    }),
  };
  follower = open();
});

const open = () => new Follower(/** @type {any} */ ({ storage }));
const rows = () => JSON.parse(follower.status());

/** A subscription with these events and no end. @param {...number} ids */
const events = (...ids) => ({
  next: () => {
    const id = ids.shift();
    if (id === undefined) return new Promise(() => {});
    return Promise.resolve({ done: false, value: { eventId: id, timestamp: id, type: "t" } });
  },
});

/** A subscription that fails. @param {string} message */
const failing = (message) => ({ next: () => Promise.reject(new Error(message)) });

/** Wait until nothing is open. */
async function settled() {
  const deadline = Date.now() + 2_000;
  do {
    assert(Date.now() < deadline, follower.status());
    await new Promise((done) => setTimeout(done, 5));
  } while (rows().some((/** @type {any} */ { isOpen }) => isOpen));
}

test("an instance is followed to its end and then forgotten", async () => {
  await follower.follow(INSTANCE, true);
  assert.deepEqual(calls, [
    ["begin", "w", "i", false],
    ["record", [1, 2], false],
  ]);
  assert.deepEqual(rows(), []);
  assert.equal(storage.alarm, null);
});

test("while a history is open the alarm is set, in case the object is evicted", async () => {
  await follower.follow(INSTANCE);
  const [{ due, isOpen }] = rows();
  assert(isOpen);
  assert(due > Date.now() && due <= Date.now() + 2_000);
  assert.equal(storage.alarm, due);
  await settled();
  // Another object takes over from the storage.
  await follower.follow({ ...INSTANCE, id: "j" });
  const late = open();
  mock.timers.enable({ apis: ["Date"], now: Date.now() + 5_000 });
  calls.length = 0;
  await late.onAlarm();
  mock.timers.reset();
  assert.deepEqual(calls[0], ["begin", "w", "j", false]);
  await settled();
});

test("a history is read from the event that Python names, and what is not recorded is passed again", async () => {
  begun = [{ reading: 1, after: 6 }];
  courses = [{ next: 7 }, { next: 8 }];
  /** @type {number[]} */
  const cursors = [];
  subscribe = (after) => (cursors.push(after), events(7, 8));
  await follower.follow(INSTANCE, true);
  assert.deepEqual(cursors, [6]);
  assert.deepEqual(calls.slice(1), [
    ["record", [7, 8], false],
    ["record", [8], false],
    ["record", [], false],
  ]);
});

test("a search begins another reading", async () => {
  courses = [{ again: true, search: true }, { again: true }];
  await follower.follow(INSTANCE, true);
  const searches = calls.filter(([name]) => name === "begin").map((call) => call[3]);
  assert.deepEqual(searches, [false, true, false]);
});

test("an instance that the engine does not have is forgotten", async () => {
  const { get } = env.W;
  env.W.get = () => Promise.reject(new Error("(instance.not_found) Provided id does not exist"));
  await follower.follow(INSTANCE);
  await settled();
  assert.deepEqual(rows(), []);
  assert.equal(storage.alarm, null);
  env.W.get = get;
  await follower.follow(INSTANCE, true);
  assert.deepEqual(calls.at(-1), ["record", [1, 2], false]);
});

test("an instance that is due later is closed, and the alarm opens it again", async () => {
  const due = Date.now() + 60_000;
  courses = [{ due }];
  await follower.follow(INSTANCE);
  await settled();
  assert.deepEqual(rows(), [{ workflow: "w", id: "i", due, failures: 0, isOpen: false }]);
  assert.equal(storage.alarm, due);
  calls.length = 0;
  await follower.onAlarm();
  assert.deepEqual(calls, []);
  mock.timers.enable({ apis: ["Date"], now: due });
  await follower.onAlarm();
  mock.timers.reset();
  await settled();
  assert.equal(calls.length, 2);
  assert.deepEqual(rows(), []);
});

test("an instance that is followed again while it is read is read once more", async () => {
  const due = Date.now() + 60_000;
  courses = [{ due }, { due }];
  await follower.follow(INSTANCE);
  await follower.follow(INSTANCE);
  await settled();
  assert.equal(calls.filter(([name]) => name === "begin").length, 2);
});

test("other instances do not put the alarm off", async () => {
  const due = Date.now() + 500;
  courses = [{ due }];
  await follower.follow(INSTANCE);
  await settled();
  await follower.follow({ ...INSTANCE, id: "j" });
  assert.equal(storage.alarm, due);
  await settled();
});

test("the time after a failure doubles up to a maximum, until a reading succeeds", async () => {
  subscribe = () => failing("the engine is away");
  for (const [n, expected] of [100, 200, 350, 350].entries()) {
    const before = Date.now();
    if (n === 0) await follower.follow(INSTANCE);
    else {
      mock.timers.enable({ apis: ["Date"], now: rows()[0].due });
      const alarm = follower.onAlarm();
      mock.timers.reset();
      await alarm;
    }
    await settled();
    const delay = rows()[0].due - before;
    assert(delay >= expected && delay < expected + 90, `${delay} ms, not ${expected}`);
    assert.equal(rows()[0].failures, n + 1);
  }
  subscribe = () => events(1);
  courses = [{ due: Date.now() + 60_000 }];
  await follower.follow(INSTANCE);
  await settled();
  assert.equal(rows()[0].failures, 0);
});

test("an instance that is about to end is read again at once if its history fails", async () => {
  const answers = [failing("Aborting engine: User called terminate"), events(1)];
  subscribe = () => answers.shift();
  await follower.follow(INSTANCE, true);
  assert.deepEqual(rows(), []);
});

test("a missing binding is a failure like others", async () => {
  await follower.follow({ ...INSTANCE, binding: "OTHER" }, true);
  await settled();
  assert.equal(rows()[0].failures > 0, true);
});

test("ids that are names of an object's members are ids like others", async () => {
  const due = Date.now() + 60_000;
  courses = [{ due }, { due }];
  for (const id of ["__proto__", "constructor"]) await follower.follow({ ...INSTANCE, id });
  await settled();
  assert.deepEqual(
    rows().map((/** @type {any} */ { id }) => id),
    ["__proto__", "constructor"],
  );
});
