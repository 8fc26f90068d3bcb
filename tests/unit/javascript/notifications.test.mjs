import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure, firstValue, write } from "../../../resolvers/runtime/notifications.mjs";
import { background, env } from "../../support/cloudflare_workers.mjs";
import { newDatabase, row } from "./database.mjs";

/** @type {[shard: string, prefetched: any][]} the notifications that shards got */
let notified;
/** @type {Map<string, object>} the prefetch that each shard returns to a notification */
let returned;
/** @type {Set<string>} shards that cannot be reached */
let unreachable;
/** @type {ReturnType<typeof newDatabase>} */
let database;
let changes = 1;
/** @type {unknown} what a prefetched read returns; an Error is thrown */
let read;

const PREFETCH = { id: "p", reads: [["plan", "READ", [1]]] };

beforeEach(async () => {
  configure({
    storeHead: "STORE HEAD",
    selectShards: "SELECT SHARDS",
    readFailed: "SQLITE_ERROR",
    writeStatements: 2,
    characters: 10,
  });
  notified = [];
  returned = new Map();
  unreachable = new Set();
  changes = 1;
  read = "text";
  database = newDatabase((statements) =>
    statements.map(({ sql }) => {
      if (sql.startsWith("SELECT")) return row('[["0",5,6]]');
      if (sql === "READ" && read instanceof Error) throw read;
      return sql === "READ" ? row(read) : row("written", sql === "WRITE" ? changes : 0);
    }),
  );
  env.TRACKER = {
    idFromName: (/** @type {string} */ name) => name,
    get: (/** @type {string} */ shard) => ({
      async notify(/** @type {string | undefined} */ text) {
        if (unreachable.has(shard)) throw new Error("no shard");
        notified.push([shard, text && JSON.parse(text)]);
        const prefetch = returned.get(shard);
        return prefetch && JSON.stringify(prefetch);
      },
    }),
  };
  // Take what an earlier test has left.
  await write(/** @type {any} */ (database), prepared(1));
  await background();
  database.batches.length = 0;
  notified.length = 0;
});

/** @param {number} count */
const prepared = (count) =>
  /** @type {any[]} */ (Array.from({ length: count }, () => database.prepare("WRITE")));

/** @param {number} [count] of statements */
async function writeNow(count = 1) {
  const written = await write(/** @type {any} */ (database), prepared(count));
  await background();
  return written;
}

/** Have the shard return its prefetch to a notification, once. */
async function offerPrefetch() {
  returned.set("0", PREFETCH);
  await writeNow();
  returned.clear();
  database.batches.length = 0;
  notified.length = 0;
}

const reads = () => database.batches.flat().filter((sql) => sql === "READ").length;

test("a write notifies every shard that has subscribers", async () => {
  database = newDatabase(() => [row("written", 1), row('[["0",5,6],["1",5,6]]')]);
  const { results, extra } = await writeNow();
  assert.deepEqual(results.map(firstValue), ["written"]);
  assert.equal(extra.length, 1);
  assert.deepEqual(notified, [
    ["0", undefined],
    ["1", undefined],
  ]);
});

test("a write that changes nothing notifies nobody", async () => {
  changes = 0;
  await writeNow();
  assert.deepEqual(notified, []);
});

test("a shard that cannot be reached does not keep others from being notified", async (t) => {
  const warnings = t.mock.method(console, "warn", () => {});
  unreachable.add("0");
  database = newDatabase(() => [row("written", 1), row('[["0",5,6],["1",5,6]]')]);
  await writeNow();
  assert.deepEqual(notified, [["1", undefined]]);
  assert.match(String(warnings.mock.calls[0].arguments[0]), /Tracker 0 was not reached/);
});

test("a write runs a prefetch in its batch and notifies with the texts", async () => {
  await offerPrefetch();
  const { results, extra } = await writeNow();
  assert.deepEqual(database.batches, [["STORE HEAD", "WRITE", "READ", "SELECT SHARDS"]]);
  assert.deepEqual([results.length, extra.length], [1, 3]);
  assert.deepEqual(notified, [["0", { id: "p", from: 5, to: 6, texts: { plan: "text" } }]]);
});

test("one write only takes a prefetch", async () => {
  await offerPrefetch();
  await Promise.all([writeNow(), writeNow()]);
  await writeNow();
  assert.equal(reads(), 1);
});

test("a prefetch is kept for the next write if a write changes nothing", async () => {
  await offerPrefetch();
  changes = 0;
  await writeNow();
  changes = 1;
  await writeNow();
  assert.equal(reads(), 2);
  assert.equal(notified.length, 1);
  assert.equal(notified[0][1].id, "p");
});

test("a write of many statements prefetches nothing and leaves the prefetch to the next", async () => {
  await offerPrefetch();
  await writeNow(3);
  assert.equal(reads(), 0);
  assert.deepEqual(notified, [["0", undefined]]);
  await writeNow(2);
  assert.equal(reads(), 1);
});

test("a write whose prefetch fails is made again without it", async () => {
  await offerPrefetch();
  read = new Error("D1_ERROR: odd: SQLITE_ERROR");
  await writeNow();
  assert.deepEqual(
    database.batches.map((batch) => batch.includes("READ")),
    [true, false],
  );
  assert.deepEqual(notified, [["0", undefined]]);
});

test("a write that fails for another reason is not made again", async () => {
  await offerPrefetch();
  read = new Error("Network connection lost");
  await assert.rejects(writeNow(), /Network/);
  assert.equal(database.batches.length, 1);
});

for (const [what, value] of /** @type {const} */ ([
  ["a text that is longer than configured", "x".repeat(11)],
  ["the size of a text that was not read", 5_000_000],
])) {
  test(`${what} is not sent: the shard polls itself`, async () => {
    await offerPrefetch();
    read = value;
    await writeNow();
    assert.deepEqual(notified, [["0", undefined]]);
  });
}

test("a plan without events in the write has no text", async () => {
  await offerPrefetch();
  read = null;
  await writeNow();
  assert.deepEqual(notified[0][1].texts, { plan: null });
});
