import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure } from "../../../resolvers/runtime/batches.mjs";
import { open } from "../../../tracker_do/edge.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { HEAD, readOf, SqliteD1 } from "../../support/d1.mjs";
import { DurableObject, installGlobals } from "../../support/durable_object.mjs";
import { installPython } from "../../support/tracker.mjs";

/** @type {DurableObject} */
let object;
/** @type {ReturnType<typeof open>} */
let shard;

beforeEach(() => {
  configure({ textBytes: 1_000_000, tooBig: "too big" });
  env.DB = new SqliteD1();
  object = new DurableObject();
  installGlobals(object);
  installPython({
    receive(written, text) {
      const state = { ...JSON.parse(written), who: { key: "key" } };
      state.streams = [["1", ["plan", ""]]];
      return JSON.stringify({ state, actions: [["send", text]] });
    },
    poll: () =>
      JSON.stringify({
        done: {
          livePosition: 0,
          window: 1000,
          more: false,
          advances: [[0, null, null]],
          refused: [],
          keys: ["key"],
          template: { head: HEAD, reads: [readOf("")], window: 1000, isPrefetchable: true },
        },
      }),
  });
  shard = open(object.ctx);
});

test("handlers are called as the runtime calls those of Python", async () => {
  shard.accept(false);
  const [{ webSocket }] = object.sockets;
  shard.onMessage.callRelaxed(webSocket, "a");
  shard.onMessage.callWithOptions({}, webSocket, "b");
  assert.deepEqual(object.sockets[0].sent, ["a", "b"]);
  await shard.onAlarm.callRelaxed();
  shard.onClose.callRelaxed(webSocket, 4400, "why");
  assert.equal(object.sockets[0].code, 4400);
});

test("a socket that failed is closed", () => {
  shard.accept(false);
  shard.onError.callRelaxed(object.sockets[0].webSocket);
  assert.equal(object.sockets[0].code, 1000);
  assert.equal(JSON.parse(shard.status()).sockets, 0);
});

test("prefetches cross as text, in both directions", async () => {
  shard.accept(true);
  shard.onMessage.callRelaxed(object.sockets[0].webSocket, "a");
  // The first poll makes the subscriber live; only the next one is repeatable.
  await shard.notify.callRelaxed(undefined);
  /** @type {import("../../../resolvers/runtime/notifications.mjs").Prefetch} */
  const prefetch = JSON.parse(/** @type {string} */ (await shard.notify.callRelaxed(undefined)));
  assert.deepEqual(
    prefetch.reads.map(([plan]) => plan),
    ["plan"],
  );
  const texts = { plan: `${"0".repeat(15)}1["event"]` };
  const prefetched = JSON.stringify({ id: prefetch.id, from: 0, to: 1, texts });
  const next = await shard.notify.callRelaxed(prefetched);
  assert.equal(typeof next, "string");
  assert.match(object.sockets[0].sent[1], /"event"/);
});
