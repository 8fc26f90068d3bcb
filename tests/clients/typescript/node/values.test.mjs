// Values, durations, errors and statuses: tables of cases.

import assert from "node:assert/strict";
import test from "node:test";
import {
  milliseconds,
  retryDelay,
  timestamp,
} from "../../../../clients/typescript/src/durations.ts";
import {
  describe,
  isEngineStop,
  isNonRetryable,
} from "../../../../clients/typescript/src/failures.ts";
import {
  MAX_JSON_BYTES,
  PREVIEW_CHARACTERS,
  snapshot,
} from "../../../../clients/typescript/src/json.ts";
import {
  instanceStatus,
  spelled,
  stepStatus,
} from "../../../../clients/typescript/src/statuses.ts";
import { endpoint } from "../../../../clients/typescript/src/connection.ts";
import { ConfigurationError } from "../../../../clients/typescript/src/errors.ts";

/** @param {unknown} value */
const stored = (value) => JSON.parse(snapshot(value).text);

test("a value is recorded as it is now, without later changes", () => {
  const value = { n: 1 };
  const json = snapshot(value);
  value.n = 2;
  assert.equal(json.text, '{"n":1}');
});

test("a value over the size limit becomes its size and a preview", () => {
  // Two bytes of quotes.
  const fits = "x".repeat(MAX_JSON_BYTES - 2);
  assert.equal(stored(fits), fits);
  assert.deepEqual(stored(`${fits}x`), {
    truncated: true,
    bytes: MAX_JSON_BYTES + 1,
    preview: `"${"x".repeat(PREVIEW_CHARACTERS - 1)}`,
  });
  assert.equal(stored("ü".repeat(MAX_JSON_BYTES / 2)).bytes, MAX_JSON_BYTES + 2);
});

test("durations are read as the engine reads them", () => {
  /** @type {[unknown, number | undefined][]} */
  const cases = [
    [250, 250],
    ["250", 250],
    ["5 seconds", 5000],
    ["1 second", 1000],
    ["2 minutes", 120_000],
    ["1 hour", 3_600_000],
    ["1.5 days", 129_600_000],
    ["1 week", 604_800_000],
    ["soon", undefined],
    ["5 constructor", undefined],
    ["", undefined],
    [undefined, undefined],
    [Number.NaN, undefined],
    [{}, undefined],
  ];
  for (const [duration, expected] of cases)
    assert.equal(milliseconds(duration), expected, String(duration));
});

test("delays grow by the backoff", () => {
  assert.deepEqual(
    [1, 2, 3].map((n) => retryDelay(n, 100, "CONSTANT")),
    [100, 100, 100],
  );
  assert.deepEqual(
    [1, 2, 3].map((n) => retryDelay(n, 100, "LINEAR")),
    [100, 200, 300],
  );
  assert.deepEqual(
    [1, 2, 3].map((n) => retryDelay(n, 100, "EXPONENTIAL")),
    [100, 200, 400],
  );
});

test("an instant outside the years of RFC 3339 is left out", () => {
  assert.equal(timestamp(0), "1970-01-01T00:00:00.000Z");
  assert.equal(timestamp(Number.POSITIVE_INFINITY), undefined);
  assert.equal(timestamp(9e15), undefined);
  assert.equal(timestamp(253_402_300_800_000), undefined);
});

test("an error is described by its name, message and stack", () => {
  class Declined extends Error {
    name = "Declined";
  }
  const { name, message, stack } = describe(new Declined("no money"));
  assert.deepEqual([name, message], ["Declined", "no money"]);
  assert.match(stack ?? "", /Declined: no money|Error: no money/);
  assert.deepEqual(describe("plain"), { name: "Error", message: "plain" });
  assert.deepEqual(describe(undefined), { name: "Error", message: "undefined" });
  assert.deepEqual(describe({ message: "like one" }), { name: "Error", message: "like one" });
});

test("an error that has lost its class gets its name from the message", () => {
  const lost = new Error("WorkflowTimeoutError: Execution timed out after 10ms");
  assert.equal(describe(lost).name, "WorkflowTimeoutError");
  assert.equal(describe(lost).message, "Execution timed out after 10ms");
  assert.equal(describe(new Error("Note: not a class")).message, "Note: not a class");
});

test("the engine's stops differ from errors that are not retried", () => {
  assert.ok(isEngineStop(new Error("Aborting engine: User called pause")));
  assert.ok(!isEngineStop(new Error("Aborting")));
  assert.ok(isNonRetryable(Object.assign(new Error("x"), { name: "NonRetryableError" })));
  assert.ok(isNonRetryable(new Error("NonRetryableError: x")));
  assert.ok(isNonRetryable(Object.assign(new Error("x"), { nonRetryable: true })));
  assert.ok(!isNonRetryable(new Error("x")));
  assert.ok(!isNonRetryable("NonRetryableError"));
});

test("statuses are accepted in every spelling, and returned in one", () => {
  for (const spelling of [
    "WaitingForPause",
    "waitingForPause",
    "WAITING_FOR_PAUSE",
    "waiting for pause",
  ]) {
    assert.equal(instanceStatus(spelling), "WAITING_FOR_PAUSE");
  }
  assert.equal(instanceStatus("Pending"), "QUEUED");
  assert.equal(stepStatus("Retrying"), "RETRYING");
  assert.throws(() => stepStatus("Cancelled"), { name: "ConfigurationError" });
  assert.equal(spelled("COMPLETED"), "Completed");
  assert.throws(() => instanceStatus("Done"), {
    name: "ConfigurationError",
    message: /status must be one of Queued, .*, not "Done"/,
  });
  assert.throws(() => stepStatus("Sleeping"), ConfigurationError);
});

test("a service's URL may name the endpoint or not", () => {
  for (const url of [
    "https://f.example",
    "https://f.example/",
    "https://f.example/graphql",
    "https://f.example/graphql/",
  ]) {
    assert.equal(endpoint(url), "https://f.example/graphql");
  }
  assert.equal(endpoint("https://f.example/base"), "https://f.example/base/graphql");
  assert.throws(() => endpoint("f.example"), ConfigurationError);
});
