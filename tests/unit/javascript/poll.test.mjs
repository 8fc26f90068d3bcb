import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure } from "../../../resolvers/runtime/batches.mjs";
import { newExecution } from "../../../resolvers/runtime/commands.mjs";
import { poll } from "../../../tracker_do/poll.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { SqliteD1 } from "../../support/d1.mjs";
import { installPython } from "../../support/tracker.mjs";

/** @type {any[]} the requests that Python was given */
let requests;

beforeEach(() => {
  requests = [];
  configure({ textBytes: 1_000_000, tooBig: "too big" });
  env.DB = new SqliteD1();
});

/** @returns {import("../../../tracker_do/poll.mjs").PollRequest} */
const newRequest = () => ({
  shard: "shard-0",
  registered: true,
  livePosition: 4,
  window: 100,
  groups: [["plan", null]],
  definitions: {},
});

/** Have Python answer one poll after the other. */
const answer = (/** @type {any[]} */ ...results) =>
  installPython({
    poll: (request) => {
      requests.push(JSON.parse(request));
      return JSON.stringify({ done: results.shift() });
    },
  });
const none = () => assert.fail("no definition is asked for");

test("Python is given the request, and its result is returned", async () => {
  answer({ livePosition: 5, more: false });
  const result = await poll(newRequest(), none, newExecution());
  assert.deepEqual(result, { livePosition: 5, more: false });
  assert.deepEqual(requests, [newRequest()]);
});

test("the statements of a poll are run, and their texts stay in the execution", async () => {
  installPython({
    poll: () => JSON.stringify({ task: 3, batch: [["SELECT 'text'", [], true]] }),
    resume: (task, outcome) => JSON.stringify({ done: { task, ...JSON.parse(outcome) } }),
  });
  const execution = newExecution();
  const result = await poll(newRequest(), none, execution);
  assert.deepEqual(result, { task: 3, outcomes: [[0, 0, 4]] });
  assert.deepEqual(execution.texts, ["text"]);
});

test("definitions that Python lacks are added, until it lacks none", async () => {
  answer({ unknown: ["a", "b"] }, { unknown: ["c"] }, { more: true });
  /** @type {string[][]} */
  const asked = [];
  const result = await poll(
    newRequest(),
    (plans) => {
      asked.push(plans);
      return Object.fromEntries(plans.map((plan) => [plan, [`{ ${plan} }`, "[]"]]));
    },
    newExecution(),
  );
  assert.equal(result.more, true);
  assert.deepEqual(asked, [["a", "b"], ["c"]]);
  assert.deepEqual(Object.keys(requests[1].definitions), ["a", "b"]);
  assert.deepEqual(requests[2].definitions, {
    a: ["{ a }", "[]"],
    b: ["{ b }", "[]"],
    c: ["{ c }", "[]"],
  });
});

test("an exception of Python, or of a missing definition, is a failure of the poll", async () => {
  installPython({
    poll: () => {
      throw new Error("PythonError");
    },
  });
  assert.deepEqual(await poll(newRequest(), none, newExecution()), {
    failed: "Error: PythonError",
  });
  answer({ unknown: ["a"] });
  const lost = () => {
    throw new Error("lost");
  };
  assert.deepEqual(await poll(newRequest(), lost, newExecution()), { failed: "Error: lost" });
});
