import assert from "node:assert/strict";
import test, { beforeEach, mock } from "node:test";
import { Follower } from "../../../follower_do/follower.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { installFollower } from "../../support/follower.mjs";
import { ObjectStorage } from "../../support/platform.mjs";

const INSTANCE = { workflow: "w", binding: "W", id: "i" };
const MINUTE_MS = 60_000;

/** @type {ObjectStorage} */
let storage;
/** @type {Follower} */
let follower;
/** @type {any[]} the jobs */
let jobs;
/** @type {object[]} the courses of `begin`, and of `record` */
let begun;
/** @type {object[]} */
let courses;
/** @type {(after: number) => any} the parts that a reader reads; throws if it cannot be opened */
let parts;
let closed = 0;

/** A part with these events. @param {...number} ids */
const part = (...ids) => ({
  events: JSON.stringify(ids.map((id) => ({ id }))),
  count: ids.length,
  bytes: 0,
  isOver: false,
  isSpent: false,
});

/** The entrypoint that opens histories. */
const histories = {
  open: async (
    /** @type {string} */ binding,
    /** @type {string} */ id,
    /** @type {number} */ after,
  ) => {
    assert.equal(binding, "W");
    const waiting = parts(after);
    return {
      began: async () => 5,
      read: async () => {
        const next = waiting.shift();
        if (next instanceof Error) throw next;
        return next ?? new Promise(() => {});
      },
      close: async () => void (closed += 1),
      [/** @type {any} */ (Symbol).dispose]: () => {},
    };
  },
};

/** @param {object} [settings] */
function install(settings) {
  installFollower(settings, (job) => {
    jobs.push(job);
    if (job.begin) return begun.shift() ?? { reading: jobs.length, after: 0 };
    if (job.fail) return {};
    return courses.shift() ?? { forget: true };
  });
}

beforeEach(() => {
  mock.method(console, "warn", () => {});
  env.FOLLOWER_SHARDS = "1";
  storage = new ObjectStorage();
  [jobs, begun, courses, closed] = [[], [], [], 0];
  install();
  parts = () => [part(1, 2)];
  follower = open();
});

const open = () => {
  const ctx = { storage, exports: { WorkflowHistories: histories } };
  return new Follower(/** @type {any} */ (ctx));
};
const rows = () => JSON.parse(follower.status()).instances;
/** The jobs without what a test is not about. */
const done = () =>
  jobs.map(({ begin, record, events, fail }) => {
    if (begin) return ["begin", ...begin];
    if (fail) return ["fail", ...fail];
    return ["record", record, JSON.parse(events).map((/** @type {any} */ { id }) => id)];
  });

/** Wait until nothing is open. */
async function settled() {
  const deadline = Date.now() + 2_000;
  do {
    assert(Date.now() < deadline, follower.status());
    await new Promise((then) => setTimeout(then, 5));
  } while (rows().some((/** @type {any} */ { isOpen }) => isOpen));
}

/** Let the alarm fire at a time. @param {number} now */
async function alarmAt(now, which = follower) {
  mock.timers.enable({ apis: ["Date"], now });
  const alarm = which.onAlarm();
  mock.timers.reset();
  await alarm;
}

test("an instance is followed until it is to be forgotten", async () => {
  await follower.follow(INSTANCE, true);
  assert.deepEqual(done(), [
    ["begin", "w", "i"],
    ["record", 1, [1, 2]],
  ]);
  assert.deepEqual(rows(), []);
  assert.equal(closed, 1);
});

test("while a history is open the alarm is set, in case the object is evicted", async () => {
  parts = () => [];
  await follower.follow(INSTANCE);
  assert(rows()[0].isOpen);
  const alarm = storage.alarm ?? 0;
  assert(alarm > Date.now() && alarm <= Date.now() + 1_000);
  // Another object takes over from the storage.
  const late = open();
  jobs.length = 0;
  await late.onAlarm();
  assert.deepEqual(done(), [["begin", "w", "i"]]);
});

test("a history is read from the event that Python names, and its run's beginning told once", async () => {
  begun = [{ reading: 7, after: 6, hasBegun: true }];
  courses = [{ next: true, waitMs: 5 }];
  /** @type {number[]} */
  const cursors = [];
  parts = (after) => (cursors.push(after), [part(7, 8), part()]);
  await follower.follow(INSTANCE, true);
  assert.deepEqual(cursors, [6]);
  assert.deepEqual(done().slice(1), [
    ["record", 7, [7, 8]],
    ["record", 7, []],
  ]);
  assert.deepEqual(
    jobs.slice(1).map(({ began }) => began),
    [5, null],
  );
});

test("another reading begins if Python asks for one, or a reader is spent", async () => {
  courses = [{ again: true }];
  const readers = [[part(1)], [{ ...part(), isSpent: true }], [part(1)]];
  parts = () => readers.shift();
  await follower.follow(INSTANCE, true);
  assert.equal(jobs.filter(({ begin }) => begin).length, 3);
  assert.equal(closed, 3);
});

test("parts that come at once are one batch, unless one must be alone", async () => {
  /** @type {number[]} */
  const batches = [];
  installFollower({}, (job) => {
    jobs.push(job);
    return job.begin ? { reading: 1, after: 0 } : (courses.shift() ?? { forget: true });
  });
  const perform = JSON.parse;
  mock.method(JSON, "parse", (/** @type {string} */ text, /** @type {any} */ revive) => {
    const value = perform(text, revive);
    if (Array.isArray(value) && value[0]?.record) batches.push(value.length);
    return value;
  });
  const alone = { again: true, isAlone: true };
  courses = [alone, alone, alone];
  await Promise.all(["i", "j", "k"].map((id) => follower.follow({ ...INSTANCE, id }, true)));
  mock.restoreAll();
  // Python parses a batch twice here.
  assert.deepEqual([...new Set(batches)], [3, 1]);
});

test("an invocation ends before its statements are spent, and the alarm begins another", async () => {
  install({ statements: 30, partStatements: 14, eventStatements: 3 });
  follower = open();
  parts = () => [part(1, 2), part(3, 4, 5, 6, 7, 8)];
  courses = [{ next: true, waitMs: 5 }];
  await follower.follow(INSTANCE);
  await new Promise((then) => setTimeout(then, 20));
  // The second part needs 32 statements, more than any invocation has, so it would wait for ever.
  assert.deepEqual(done().slice(1), [["record", 1, [1, 2]]]);
  assert((storage.alarm ?? Infinity) <= Date.now());
});

test("an instance whose history is not to be read any more is forgotten", async () => {
  installFollower({}, (job) =>
    job.begin ? { reading: 1, after: 0 } : { forget: Boolean(job.fail) },
  );
  parts = () => [new Error("(instance.not_found) Provided id does not exist")];
  await follower.follow(INSTANCE);
  await settled();
  assert.deepEqual(rows(), []);
});

test("an instance that is due later is closed, and the alarm opens it again", async () => {
  const due = Date.now() + MINUTE_MS;
  courses = [{ due }];
  await follower.follow(INSTANCE);
  await settled();
  assert.deepEqual(rows(), [{ workflow: "w", id: "i", due, failures: 0, isOpen: false }]);
  jobs.length = 0;
  await follower.onAlarm();
  assert.deepEqual(jobs, []);
  assert.equal(storage.alarm, due);
  await alarmAt(due);
  await settled();
  assert.equal(jobs.length, 2);
  assert.deepEqual(rows(), []);
});

test("nothing is followed any longer once following is switched off", async () => {
  courses = [{ due: Date.now() + MINUTE_MS }];
  await follower.follow(INSTANCE);
  await settled();
  env.FOLLOWER_SHARDS = "0";
  jobs.length = 0;
  await alarmAt(Date.now() + MINUTE_MS);
  assert.deepEqual([rows(), jobs], [[], []]);
});

test("a job that fails is a failure of its instance alone", async () => {
  installFollower({}, (job) => {
    if (job.begin) return { reading: job.begin[1] === "i" ? 1 : 2, after: 0 };
    return job.record === 1 ? { error: "TypeError: no" } : { forget: !job.fail };
  });
  await follower.follow(INSTANCE);
  await follower.follow({ ...INSTANCE, id: "j" });
  await settled();
  assert.deepEqual(
    rows().map((/** @type {any} */ { id, failures }) => [id, failures]),
    [["i", 1]],
  );
});

test("an instance that is followed again while it is read is read once more", async () => {
  const due = Date.now() + MINUTE_MS;
  courses = [{ due }, { due }];
  await follower.follow(INSTANCE);
  await follower.follow(INSTANCE);
  await settled();
  assert.equal(jobs.filter(({ begin }) => begin).length, 2);
});

test("other instances do not put the alarm off", async () => {
  const due = Date.now() + 500;
  courses = [{ due }];
  await follower.follow(INSTANCE);
  await settled();
  await follower.follow({ ...INSTANCE, id: "j" });
  assert((storage.alarm ?? Infinity) <= due);
  await settled();
});

test("only so many histories are open at once, and the others follow", async () => {
  install({ open: 2 });
  follower = open();
  /** @type {((part: object) => void)[]} */
  const waiting = [];
  parts = () => [new Promise((then) => waiting.push(then))];
  for (const id of ["a", "b", "c"]) await follower.follow({ ...INSTANCE, id });
  await new Promise((then) => setTimeout(then, 10));
  assert.deepEqual(
    rows().map((/** @type {any} */ { isOpen }) => isOpen),
    [true, true, false],
  );
  waiting[0](part(1));
  await new Promise((then) => setTimeout(then, 10));
  await alarmAt(Date.now() + 10);
  await new Promise((then) => setTimeout(then, 10));
  for (const then of waiting) then(part(1));
  await settled();
  assert.deepEqual(rows(), []);
});

test("the time after a failure doubles up to a maximum, until a reading succeeds", async () => {
  parts = () => [new Error("the engine is away")];
  for (const [n, expected] of [100, 200, 350, 350].entries()) {
    const before = Date.now();
    if (n === 0) await follower.follow(INSTANCE);
    else await alarmAt(rows()[0].due);
    await settled();
    const delay = rows()[0].due - before;
    assert(delay >= expected && delay < expected + 90, `${delay} ms, not ${expected}`);
    assert.equal(rows()[0].failures, n + 1);
    assert.deepEqual(done().at(-1), ["fail", "w", "i"]);
    assert.equal(jobs.at(-1).failures, n + 1);
  }
  parts = () => [part(1)];
  courses = [{ due: Date.now() + MINUTE_MS }];
  await follower.follow(INSTANCE);
  await settled();
  assert.equal(rows()[0].failures, 0);
});

test("an instance that is about to end is read again at once if its history fails", async () => {
  const answers = [[new Error("Aborting engine: User called terminate")], [part(1)]];
  parts = () => answers.shift();
  await follower.follow(INSTANCE, true);
  assert.deepEqual(rows(), []);
});

test("a history that cannot be opened in time is a failure, and is closed when it opens", async () => {
  /** @type {(history: any) => void} */
  let opens = () => {};
  const ctx = {
    storage,
    exports: { WorkflowHistories: { open: () => new Promise((then) => (opens = then)) } },
  };
  follower = new Follower(/** @type {any} */ (ctx));
  await follower.follow(INSTANCE);
  await settled();
  assert.equal(rows()[0].failures, 1);
  const dispose = () => {};
  opens({
    close: async () => void (closed += 1),
    [/** @type {any} */ (Symbol).dispose]: dispose,
  });
  await new Promise((then) => setTimeout(then));
  assert.equal(closed, 1);
});

test("ids that are names of an object's members are ids like others", async () => {
  const due = Date.now() + MINUTE_MS;
  courses = [{ due }, { due }];
  for (const id of ["__proto__", "constructor"]) await follower.follow({ ...INSTANCE, id });
  await settled();
  assert.deepEqual(
    rows().map((/** @type {any} */ { id }) => id),
    ["__proto__", "constructor"],
  );
});
