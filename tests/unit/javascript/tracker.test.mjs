import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { connect, openSocket } from "../../../schema/tracker.mjs";
import { env } from "../../support/cloudflare_workers.mjs";

/** @type {{ shard: string, url: string, headers: Record<string, string> }[]} what shards were asked */
let asked;
/** @type {string[]} what was done to the sockets of this side */
let done;

const newSocket = () => ({
  accept: () => done.push("accept"),
  close: (/** @type {number} */ code, /** @type {string} */ reason) =>
    done.push(`close ${code} ${reason}`),
});
const answer = { status: 101, webSocket: newSocket() };

beforeEach(() => {
  asked = [];
  done = [];
  delete env.TRACKER_SHARDS;
  env.TRACKER = {
    idFromName: (/** @type {string} */ name) => name,
    get: (/** @type {string} */ shard) => ({
      fetch(/** @type {string} */ url, /** @type {any} */ { headers }) {
        asked.push({ shard, url, headers });
        return answer;
      },
    }),
  };
  Object.assign(globalThis, {
    WebSocketPair: class {
      client = newSocket();
      server = newSocket();
    },
    // Node's takes no 101.
    Response: class {
      /** @param {null} _ @param {object} options */
      constructor(_, options) {
        Object.assign(this, options);
      }
    },
  });
});

/** @param {string} [protocols] */
const upgrade = (protocols) =>
  new Request("http://test/graphql", {
    headers: protocols === undefined ? {} : { "sec-websocket-protocol": protocols },
  });

test("a client that offers the subprotocol gets the shard's response", async () => {
  for (const offered of ["graphql-transport-ws", "graphql-ws , graphql-transport-ws"]) {
    assert.equal(await connect(upgrade(offered), false), answer);
  }
  assert.deepEqual(
    asked.map(({ shard, url }) => [shard, url]),
    Array(2).fill(["shard-0", "https://tracker/graphql"]),
  );
  assert.deepEqual(asked[0].headers, {
    upgrade: "websocket",
    "sec-websocket-protocol": "graphql-transport-ws",
  });
});

test("another client is closed with 4406 and wakes no shard", async () => {
  for (const offered of [undefined, "", "graphql-ws", "graphql-transport-ws2"]) {
    done = [];
    const { status } = await connect(upgrade(offered), false);
    assert.equal(status, 101);
    assert.deepEqual(done, ["accept", "close 4406 Subprotocol not acceptable"]);
  }
  assert.deepEqual(asked, []);
});

test("a shard takes a socket without a key only by the address for bound Workers", async () => {
  await connect(upgrade("graphql-transport-ws"), true);
  await openSocket(true);
  await openSocket(false);
  assert.deepEqual(
    asked.map(({ url }) => url),
    ["https://tracker/bound", "https://tracker/bound", "https://tracker/graphql"],
  );
});

test("a socket of this Worker's own is accepted", async () => {
  assert.equal(await openSocket(false), answer.webSocket);
  assert.deepEqual(done, ["accept"]);
});

test("sockets are spread over the shards of TRACKER_SHARDS", async () => {
  env.TRACKER_SHARDS = "3";
  for (let count = 0; count < 200; count += 1) await openSocket(false);
  assert.deepEqual([...new Set(asked.map(({ shard }) => shard))].sort(), [
    "shard-0",
    "shard-1",
    "shard-2",
  ]);
});

test("a TRACKER_SHARDS that is no count means one shard", async () => {
  for (const value of ["0", "-2", "x", "", 0.5]) {
    env.TRACKER_SHARDS = value;
    await openSocket(false);
  }
  assert.deepEqual([...new Set(asked.map(({ shard }) => shard))], ["shard-0"]);
});
