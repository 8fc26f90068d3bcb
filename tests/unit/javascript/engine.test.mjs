import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { configure, sendRequests } from "../../../resolvers/runtime/engine.mjs";
import { background, env } from "../../support/cloudflare_workers.mjs";
import { VALUES } from "../../support/values.mjs";

/** @type {string[]} the calls of the binding */
let calls;
/** @type {(id: string) => any} the status of an instance; throws if there is none */
let statusOf;

beforeEach(() => {
  configure({
    finished: ["complete", "errored", "terminated"],
    hasOutput: "complete",
    hasError: "errored",
    leadsTo: { pause: "paused" },
    noInstance: "(?i:not found)",
    exists: "already exists",
    values: VALUES,
  });
  calls = [];
  statusOf = () => ({ status: "running" });
  const record = (/** @type {string} */ name) => async () => void calls.push(name);
  env.ORDER = {
    create: async (/** @type {object} */ values) => void calls.push(JSON.stringify(values)),
    get: async (/** @type {string} */ id) => ({
      status: async () => statusOf(id),
      pause: record("pause"),
      terminate: record("terminate"),
      restart: record("restart"),
      sendEvent: async (/** @type {object} */ event) => void calls.push(JSON.stringify(event)),
    }),
  };
});

/**
 * Send requests with the limits of a test.
 * @param {{ method: string, id?: string, binding?: string, arguments?: string[] }[]} requests
 * @param {{ shards?: number, timeoutMs?: number, settleMs?: number,
 *   concurrency?: number }} [limits]
 */
const send = (requests, limits) =>
  sendRequests({
    requests: requests.map((request) => ({
      workflow: "order",
      binding: "ORDER",
      id: "i-1",
      arguments: [],
      ...request,
    })),
    shards: 0,
    timeoutMs: 1_000,
    settleMs: 0,
    concurrency: 10,
    ...limits,
  });

const never = () => new Promise(() => {});

test("an instance is created with its parameters", async () => {
  assert.deepEqual(await send([{ method: "create", arguments: ['{"a":1}'] }]), [{}]);
  assert.deepEqual(calls, ['{"id":"i-1","params":{"a":1}}']);
});

test("an instance that exists counts as created, other failures do not", async () => {
  const failures = ["instance already exists", "quota exceeded"];
  env.ORDER.create = async () => {
    throw new Error(failures.shift());
  };
  const request = { method: "create", arguments: ["1"] };
  assert.deepEqual(await send([request, request], { concurrency: 1 }), [
    {},
    { error: "quota exceeded" },
  ]);
});

for (const [reported, state] of /** @type {[object, object][]} */ ([
  [{ status: "running", output: 1 }, { status: "running" }],
  [
    { status: "complete", output: { a: 1 } },
    { status: "complete", output: ['{"a":1}', "JSON"] },
  ],
  [{ status: "complete" }, { status: "complete", output: ["null", "UNDEFINED"] }],
  [
    { status: "errored", error: { name: "TypeError", message: "no" } },
    { status: "errored", error: ["TypeError", "no"] },
  ],
  [
    { status: "errored", error: "no" },
    { status: "errored", error: ["Error", "no"] },
  ],
  [{ status: "errored" }, { status: "errored" }],
])) {
  test(`the state of ${JSON.stringify(reported)} is ${JSON.stringify(state)}`, async () => {
    statusOf = () => reported;
    assert.deepEqual(await send([{ method: "getStatus" }]), [{ state }]);
  });
}

test("an instance that the engine does not have has the status null", async () => {
  statusOf = () => {
    throw new Error("Instance NOT FOUND");
  };
  assert.deepEqual(await send([{ method: "getStatus" }]), [{ state: { status: null } }]);
});

test("a binding that is missing is named", async () => {
  const [{ error }] = await send([{ method: "getStatus", binding: "ABSENT" }]);
  assert.match(String(error), /no binding ABSENT/);
});

test("an action waits for the status that it leads to", async () => {
  const statuses = ["running", "running", "paused"];
  statusOf = () => ({ status: statuses.shift() });
  const results = await send([{ method: "pause" }], { settleMs: 500 });
  assert.deepEqual(results, [{ state: { status: "paused" } }]);
  assert.deepEqual(calls, ["pause"]);
});

test("an action waits no longer than the configured time", async () => {
  const results = await send([{ method: "pause" }], { settleMs: 50 });
  assert.deepEqual(results, [{ state: { status: "running" } }]);
});

test("an action on a finished instance is refused with its state, except a restart", async () => {
  statusOf = () => ({ status: "terminated" });
  const results = await send([{ method: "pause" }, { method: "restart" }]);
  assert.deepEqual(results, [
    { error: "the instance is terminated", state: { status: "terminated" } },
    { state: { status: "terminated" } },
  ]);
});

test("an event is sent to an unfinished instance only", async () => {
  const event = { method: "sendEvent", arguments: ["paid", '{"a":1}'] };
  assert.deepEqual(await send([event]), [{ state: { status: "running" } }]);
  assert.deepEqual(calls, ['{"type":"paid","payload":{"a":1}}']);
  statusOf = () => ({ status: "complete" });
  const [{ error }] = await send([event]);
  assert.equal(error, "the instance is complete");
  assert.equal(calls.length, 1);
});

test("a request that times out has the state known so far", async () => {
  env.ORDER.get = async () => ({ status: async () => ({ status: "running" }), pause: never });
  assert.deepEqual(await send([{ method: "pause" }], { timeoutMs: 20 }), [
    { error: "no answer within 0.02 seconds", state: { status: "running" } },
  ]);
  env.ORDER.get = async () => ({ status: never });
  assert.deepEqual(await send([{ method: "pause" }], { timeoutMs: 20 }), [
    { error: "no answer within 0.02 seconds" },
  ]);
});

test("few requests are sent at once, and the results are in the order of the requests", async () => {
  let running = 0;
  let most = 0;
  env.ORDER.get = async (/** @type {string} */ id) => ({
    async status() {
      running += 1;
      most = Math.max(most, running);
      // The first request takes longest.
      await new Promise((done) => setTimeout(done, id === "0" ? 40 : 5));
      running -= 1;
      return { status: `status ${id}` };
    },
  });
  const ids = Array.from({ length: 7 }, (_, index) => String(index));
  const results = await send(
    ids.map((id) => ({ method: "getStatus", id })),
    { concurrency: 3 },
  );
  assert.equal(most, 3);
  assert.deepEqual(
    results.map(({ state }) => state?.status),
    ids.map((id) => `status ${id}`),
  );
});

test("a request that fails does not prevent the others", async () => {
  statusOf = (id) => {
    if (id === "bad") throw new Error("broken");
    return { status: "running" };
  };
  const ids = ["bad", "good"];
  assert.deepEqual(await send(ids.map((id) => ({ method: "getStatus", id }))), [
    { error: "broken" },
    { state: { status: "running" } },
  ]);
});

/**
 * Have a follower; what it was handed.
 * @param {(call: number) => Promise<void>} [follow]
 */
function withFollower(follow = async () => {}) {
  /** @type {any[][]} */
  const handed = [];
  env.FOLLOWER = {
    idFromName: (/** @type {string} */ name) => name,
    get: (/** @type {string} */ name) => ({
      follow: (/** @type {any[]} */ ...values) => (
        handed.push([name, ...values]),
        follow(handed.length)
      ),
    }),
  };
  return handed;
}

test("the follower gets the instances that are started and acted on, always in the same object", async () => {
  const handed = withFollower();
  await send(
    [{ method: "create", arguments: ["1"] }, { method: "pause" }, { method: "getStatus" }],
    { shards: 8, concurrency: 1 },
  );
  await background();
  assert.deepEqual(
    handed.map((call) => call.slice(1)),
    [
      ["order", "ORDER", "i-1", false],
      ["order", "ORDER", "i-1", false],
    ],
  );
  assert.equal(handed[0][0], handed[1][0]);
});

test("an instance is handed over on its own, without a call of the engine", async () => {
  const handed = withFollower();
  assert.deepEqual(
    await send([{ method: "follow" }, { method: "followToEnd", id: "i-2" }], { shards: 1 }),
    [{}, {}],
  );
  await background();
  assert.deepEqual(handed, [
    ["shard-0", "order", "ORDER", "i-1", false],
    ["shard-0", "order", "ORDER", "i-2", true],
  ]);
  assert.deepEqual(calls, []);
});

test("nothing is followed without shards", async () => {
  const handed = withFollower();
  await send([{ method: "create", arguments: ["1"] }, { method: "follow" }]);
  await background();
  assert.deepEqual(handed, []);
});

test("instances are spread over the followers", async () => {
  const handed = withFollower();
  const requests = Array.from({ length: 40 }, (_, n) => ({
    method: "create",
    id: `i-${n}`,
    arguments: ["1"],
  }));
  await send(requests, { shards: 4 });
  await background();
  assert.deepEqual([...new Set(handed.map(([name]) => name))].sort(), [
    "shard-0",
    "shard-1",
    "shard-2",
    "shard-3",
  ]);
});

test("a follower that is not reached is called once more, and the action succeeds", async (t) => {
  const errors = t.mock.method(console, "error", () => {});
  const handed = withFollower(() => Promise.reject(new Error("overloaded")));
  assert.deepEqual(await send([{ method: "create", arguments: ["1"] }], { shards: 1 }), [{}]);
  await background();
  assert.equal(handed.length, 2);
  assert.equal(errors.mock.callCount(), 1);
});

test("a termination waits for the follower, but not longer than for its effect", async () => {
  /** @type {() => void} */
  let recorded = () => {};
  const handed = withFollower(() => new Promise((done) => (recorded = done)));
  await send([{ method: "terminate" }], { shards: 1, settleMs: 20 });
  assert.deepEqual(handed, [["shard-0", "order", "ORDER", "i-1", true]]);
  recorded();
  await background();
});
