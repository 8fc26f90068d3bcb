import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure, isOversized, runBatch } from "../../../resolvers/runtime/batches.mjs";
import { newExecution } from "../../../resolvers/runtime/commands.mjs";
import { configure as configureNotifications } from "../../../resolvers/runtime/notifications.mjs";
import { background, env } from "../../support/cloudflare_workers.mjs";
import { newDatabase, row } from "./database.mjs";

const TOO_BIG = "the text is too big";

beforeEach(() => {
  configure({ textBytes: 10, tooBig: TOO_BIG });
  configureNotifications({
    storeHead: "STORE HEAD",
    selectShards: "SELECT SHARDS",
    readFailed: "SQLITE",
    writeStatements: 20,
    characters: 100,
  });
});

/**
 * Run statements, each as SQL and whether its text is opaque.
 * @param {[sql: string, opaque: boolean][]} statements
 * @param {ReturnType<typeof row>[]} results
 */
async function run(statements, results) {
  env.DB = newDatabase(() => results);
  const execution = newExecution();
  const outcomes = await runBatch(
    statements.map(([sql, opaque]) => [sql, [], opaque]),
    execution,
  );
  return { outcomes, execution };
}

test("outcomes are in the order of their statements, and opaque texts stay behind numbers", async () => {
  const { outcomes, execution } = await run(
    [
      ["A", false],
      ["B", true],
      ["C", true],
      ["D", false],
    ],
    [row("a", 1), row("bb"), row("ccc"), row()],
  );
  assert.deepEqual(outcomes, [
    ["a", 1],
    [0, 0, 2],
    [1, 0, 3],
    [null, 0],
  ]);
  assert.deepEqual(execution.texts, ["bb", "ccc"]);
});

test("an opaque text that is missing or too long has no number", async () => {
  const { outcomes } = await run(
    [
      ["A", true],
      ["B", true],
    ],
    [row(), row(5_000_000)],
  );
  assert.deepEqual(outcomes, [
    [null, 0, 0],
    [null, 0, 5_000_000],
  ]);
  assert.deepEqual(outcomes.map(isOversized), [false, true]);
});

test("an execution counts round trips and rows", async () => {
  const { execution } = await run(
    [
      ["A", false],
      ["B", false],
    ],
    [row("a", 3), row("b")],
  );
  assert.deepEqual([execution.roundTrips, execution.rowsRead, execution.rowsWritten], [1, 4, 3]);
});

test("a parameter that is too long is refused with the configured message, before the batch", async () => {
  env.DB = newDatabase(() => [row()]);
  const write = (/** @type {string} */ text) => runBatch([["A", [text], false]], newExecution());
  await assert.rejects(write("ä".repeat(6)), { message: TOO_BIG });
  assert.deepEqual(env.DB.batches, []);
  await write("ä".repeat(5));
  assert.equal(env.DB.batches.length, 1);
});

test("a result that is too long is refused with the configured message", async () => {
  await assert.rejects(run([["A", true]], [row("x".repeat(11))]), { message: TOO_BIG });
});

test("a write also selects the shards to notify, whose cost is counted, and a read does not", async () => {
  env.DB = newDatabase((statements) => [
    ...statements.slice(1).map(() => row("a", 1)),
    row(statements.length > 1 ? "[]" : "a"),
  ]);
  const execution = newExecution();
  const outcomes = await runBatch([["A", [], false]], execution, { writes: true });
  assert.deepEqual(outcomes, [["a", 1]]);
  assert.equal(execution.rowsRead, 4);
  await runBatch([["A", [], false]], execution);
  assert.deepEqual(
    env.DB.batches.map((/** @type {string[]} */ { length }) => length),
    [2, 1],
  );
  await background();
});
