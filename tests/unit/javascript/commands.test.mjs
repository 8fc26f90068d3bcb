import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure, join, newExecution, runTask } from "../../../resolvers/runtime/commands.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { newDatabase, row } from "./database.mjs";
import { VALUES } from "../../support/values.mjs";

beforeEach(() => {
  configure({
    batches: { textBytes: 100, tooBig: "too big" },
    notifications: {
      storeHead: "STORE HEAD",
      selectShards: "SELECT SHARDS",
      readFailed: "SQLITE",
      writeStatements: 20,
      characters: 100,
    },
    engine: {
      finished: ["complete"],
      hasOutput: "complete",
      hasError: "errored",
      leadsTo: {},
      noInstance: "not found",
      exists: "exists",
      values: VALUES,
    },
  });
});

/**
 * Python, with the steps that it takes; records what it gets.
 * @param {object[]} steps
 */
function newPython(...steps) {
  /** @type {[task: number | undefined, result: unknown][]} */
  const calls = [];
  const next = () => JSON.stringify(steps.shift());
  return {
    calls,
    begin(/** @type {string} */ failure) {
      calls.push([undefined, failure && JSON.parse(failure)]);
      return next();
    },
    resume(/** @type {number} */ task, /** @type {string} */ result) {
      calls.push([task, JSON.parse(result)]);
      return next();
    },
  };
}

const READ = { batch: [["SELECT", [], true]] };

test("a task is resumed with the outcomes of each command until it returns", async () => {
  env.DB = newDatabase((_, index) => [row(`text ${index}`)]);
  const python = newPython({ task: 1, ...READ }, { task: 2, ...READ }, { done: "value" });
  const execution = newExecution();
  assert.equal(await runTask(python, execution), "value");
  assert.deepEqual(python.calls, [
    [undefined, ""],
    [1, { outcomes: [[0, 0, 6]] }],
    [2, { outcomes: [[1, 0, 6]] }],
  ]);
  assert.deepEqual(execution.texts, ["text 0", "text 1"]);
});

test("a task that returns without a command runs no batch", async () => {
  env.DB = newDatabase(() => assert.fail("there is no batch"));
  assert.equal(await runTask(newPython({ done: 1 }), newExecution()), 1);
});

test("a speculated value is returned once its batch succeeds, without calling Python again", async () => {
  env.DB = newDatabase(() => [row("text")]);
  const python = newPython({ done: [0], ...READ });
  const execution = newExecution();
  assert.deepEqual(await runTask(python, execution), [0]);
  assert.equal(python.calls.length, 1);
  assert.deepEqual(execution.texts, ["text"]);
});

test("speculation that fails begins again with the error", async () => {
  env.DB = newDatabase(() => {
    throw new Error("D1 is down");
  });
  const python = newPython({ done: "assumed", ...READ }, { done: "failed" });
  assert.equal(await runTask(python, newExecution()), "failed");
  assert.deepEqual(python.calls[1], [undefined, { error: "D1 is down" }]);
});

for (const [fault, value, outcome] of /** @type {const} */ ([
  ["no row", undefined, [null, 0, 0]],
  ["a text that is too long", 500, [null, 0, 500]],
])) {
  test(`speculation begins again after ${fault}, and the texts read so far are dropped`, async () => {
    env.DB = newDatabase((_, index) => (index === 0 ? [row("text"), row(value)] : [row("other")]));
    const python = newPython(
      { done: "assumed", batch: [...READ.batch, ...READ.batch] },
      { done: [0], ...READ },
    );
    const execution = newExecution();
    assert.deepEqual(await runTask(python, execution), [0]);
    assert.deepEqual(python.calls[1], [undefined, { outcomes: [[0, 0, 4], outcome] }]);
    assert.deepEqual(execution.texts, ["other"]);
  });
}

test("a statement that is not opaque may find no row", async () => {
  env.DB = newDatabase(() => [row()]);
  const python = newPython({ done: "value", batch: [["SELECT", [], false]] });
  assert.equal(await runTask(python, newExecution()), "value");
});

test("requests to the engine resume the task with their results, and run no batch", async () => {
  env.DB = newDatabase(() => assert.fail("there is no batch"));
  env.ORDER = { get: async () => ({ status: async () => ({ status: "running" }) }) };
  const request = { binding: "ORDER", method: "getStatus", id: "i-1", arguments: [] };
  const engine = { requests: [request], timeoutMs: 1_000, settleMs: 0, concurrency: 1 };
  const python = newPython({ task: 1, engine }, { done: "value" });
  assert.equal(await runTask(python, newExecution()), "value");
  assert.deepEqual(python.calls[1], [1, { results: [{ state: { status: "running" } }] }]);
});

test("pieces are joined with the texts that they number", () => {
  assert.equal(join(['{"a":', 1, ',"b":', 0, "}"], ["[0]", "[1]"]), '{"a":[1],"b":[0]}');
});
