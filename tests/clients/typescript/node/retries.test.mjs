// `trackStep` in Node, against a service that records its reports.

import assert from "node:assert/strict";
import test from "node:test";
import { ConfigurationError, trackStep } from "../../../../clients/typescript/src/index.ts";

/** An environment, and the updates of steps that its service was sent. */
function environment() {
  /** @type {any[]} */
  const reported = [];
  const FLOWFLARE = {
    fetch: async (/** @type {string} */ _url, /** @type {{ body: string }} */ { body }) => {
      for (const { step } of JSON.parse(body).variables.updates) reported.push(step);
      return { status: 200, text: async () => '{"data":{"track":{"__typename":"TrackPayload"}}}' };
    },
  };
  return { env: { FLOWFLARE }, reported };
}

/** @param {number} count */
function failing(count) {
  let calls = 0;
  const work = async () => {
    if (++calls <= count) throw new RangeError(`call ${calls}`);
    return calls;
  };
  return { work, calls: () => calls };
}

/** @param {any[]} reported */
const summary = (reported) => reported.map(({ status, attempt }) => `${status} ${attempt}`);

test("it retries by itself until the work succeeds", async () => {
  const { env, reported } = environment();
  const { work } = failing(2);
  assert.equal(await trackStep(env, "i", "pay", 3, work, { baseDelay: 1 }), 3);
  assert.deepEqual(summary(reported), [
    "RUNNING 1",
    "RETRYING 1",
    "RUNNING 2",
    "RETRYING 2",
    "RUNNING 3",
    "COMPLETED 3",
  ]);
  assert.deepEqual(reported[0], {
    instanceId: "i",
    name: "pay",
    index: 3,
    kind: "TASK",
    status: "RUNNING",
    attempt: 1,
    retryPolicy: { limit: 3, delay: 1, backoff: "EXPONENTIAL" },
  });
  assert.deepEqual([reported[1].error.name, reported[1].error.message], ["RangeError", "call 1"]);
  assert.match(reported[1].error.stack, /retries\.test\.mjs/);
  assert.ok(Date.parse(reported[1].retryAt) > 0);
  assert.equal(reported.at(-1).output, 3);
});

test("it gives up after maxRetries, with the error of the last attempt", async () => {
  const { env, reported } = environment();
  const { work, calls } = failing(9);
  const tracked = trackStep(env, "i", "pay", 1, work, {
    maxRetries: 1,
    baseDelay: 1,
    backoffType: "linear",
  });
  await assert.rejects(tracked, new RangeError("call 2"));
  assert.equal(calls(), 2);
  assert.deepEqual(summary(reported), ["RUNNING 1", "RETRYING 1", "RUNNING 2", "FAILED 2"]);
});

test("maxRetries 0 makes one attempt", async () => {
  const { env, reported } = environment();
  await assert.rejects(
    trackStep(env, "i", "pay", 1, failing(1).work, { maxRetries: 0 }),
    RangeError,
  );
  assert.deepEqual(summary(reported), ["RUNNING 1", "FAILED 1"]);
});

test("a NonRetryableError ends the step", async () => {
  const { env, reported } = environment();
  const work = () => {
    throw Object.assign(new Error("never"), { name: "NonRetryableError" });
  };
  await assert.rejects(trackStep(env, "i", "pay", 1, work), { name: "NonRetryableError" });
  assert.deepEqual(summary(reported), ["RUNNING 1", "FAILED 1"]);
});

test("with currentRetry it makes one attempt, and leaves the next to its caller", async () => {
  const { env, reported } = environment();
  const { work, calls } = failing(9);
  const config = { maxRetries: 2, baseDelay: 1000, backoffType: /** @type {const} */ ("constant") };
  for (const currentRetry of [0, 1, 2]) {
    await assert.rejects(
      trackStep(env, "i", "pay", 1, work, { ...config, currentRetry }),
      RangeError,
    );
  }
  assert.equal(calls(), 3);
  assert.deepEqual(summary(reported), [
    "RUNNING 1",
    "RETRYING 1",
    "RUNNING 2",
    "RETRYING 2",
    "RUNNING 3",
    "FAILED 3",
  ]);
});

test("the step may be named with its workflow, run and occurrence", async () => {
  const { env, reported } = environment();
  const key = { workflow: "w", run: 2, occurrence: 3 };
  await trackStep(env, "i", "pay", undefined, () => 1, key);
  for (const { workflow, run, occurrence } of reported)
    assert.deepEqual({ workflow, run, occurrence }, key);
});

test("a name that is no text is recorded as its text", async () => {
  const { env, reported } = environment();
  const name = /** @type {any} */ (1);
  assert.equal(await trackStep(env, "i", name, undefined, () => "done"), "done");
  assert.deepEqual(
    reported.map(({ name, status }) => [name, status]),
    [
      ["1", "RUNNING"],
      ["1", "COMPLETED"],
    ],
  );
});

test("an invalid index is left to the service", async () => {
  for (const index of [undefined, 0, -1, 1.5, Number.NaN]) {
    const { env, reported } = environment();
    await trackStep(env, "i", "pay", index, () => 1);
    assert.equal(reported[0].index, undefined, String(index));
  }
});

test("invalid options are refused before the work runs", async () => {
  const { env } = environment();
  const { work, calls } = failing(0);
  for (const config of [
    { maxRetries: -1 },
    { baseDelay: Number.NaN },
    { currentRetry: Number.POSITIVE_INFINITY },
    { backoffType: "cubic" },
  ]) {
    await assert.rejects(
      trackStep(env, "i", "pay", 1, work, /** @type {any} */ (config)),
      ConfigurationError,
    );
  }
  assert.equal(calls(), 0);
});

test("a stop by the engine is not a failure of the step", async () => {
  const { env, reported } = environment();
  const work = () => {
    throw new Error("Aborting engine: User called pause");
  };
  await assert.rejects(trackStep(env, "i", "pay", 1, work), /User called pause/);
  assert.ok(reported.every(({ status }) => status === "RUNNING"));
});

test("without a service the step runs, and the log says why it is not tracked", async (context) => {
  /** @type {string[]} */
  const lines = [];
  context.mock.method(console, "warn", (/** @type {string} */ line) => lines.push(line));
  assert.equal(await trackStep({}, "i", "pay", 1, () => 7), 7);
  assert.equal(await trackStep({ FLOWFLARE_URL: "nowhere" }, "i", "pay", 1, () => 8), 8);
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^\[flowflare\] i, step pay is not tracked: /);
});
