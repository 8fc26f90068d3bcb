import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import * as edge from "../../../schema/edge.mjs";
import { env } from "../../support/cloudflare_workers.mjs";
import { VALUES } from "../../support/values.mjs";

const KEY = { authorization: "Bearer key" };
const SETTINGS = {
  bodyBytes: 1_000,
  json: { depth: 10, values: 100 },
  skippedBytes: 10,
  knownCallers: 10,
  keepAliveMs: 1_000,
  costHeaders: ["D1-Round-Trips", "D1-Rows-Read", "D1-Rows-Written"],
  commands: {
    batches: { textBytes: 1_000, tooBig: "too big" },
    notifications: {
      storeHead: "STORE HEAD",
      selectShards: "SELECT SHARDS",
      readFailed: "^$",
      writeStatements: 20,
      characters: 1_000,
    },
    engine: {
      finished: [],
      hasOutput: "complete",
      hasError: "errored",
      leadsTo: {},
      noInstance: "^$",
      exists: "^$",
      values: VALUES,
    },
  },
};

/** @type {any[][]} the requests that Python began, each with its body and failure */
let begun;
/** @type {(object | string)[]} the steps that Python takes */
let steps;

/** @param {object} response as Python makes it */
const done = (response) => ({
  done: { status: 200, kind: "answer", headers: {}, body: ["{}"], cost: false, ...response },
});

beforeEach(() => {
  begun = [];
  steps = [done({})];
  const next = () => JSON.stringify(steps.shift());
  edge.install(
    JSON.stringify(SETTINGS),
    (line, body, failure) => {
      begun.push([JSON.parse(line), body, failure]);
      return next();
    },
    (task, result) => {
      begun.push([task, JSON.parse(result)]);
      return next();
    },
    (authorization) => (authorization === KEY.authorization ? 2 ** 53 - 1 : 0),
  );
});

/** @param {string} body @param {Record<string, string>} [headers] */
const post = (body, headers = KEY) =>
  new Request("http://test/graphql?a=1", { method: "POST", body, headers });

test("Python gets the request's line with the headers that it uses, and the body", async () => {
  const headers = {
    ...KEY,
    accept: "text/event-stream",
    "content-type": "application/json",
    origin: "https://a.test",
    "last-event-id": "7",
    "x-other": "no",
  };
  await edge.serve(post("[1]", headers));
  assert.deepEqual(begun, [
    [
      {
        method: "POST",
        path: "/graphql",
        query_string: "a=1",
        accept: "text/event-stream",
        authorization: "Bearer key",
        content_type: "application/json",
        origin: "https://a.test",
        last_event_id: "7",
        problem: "",
        bound: false,
      },
      "[1]",
      "",
    ],
  ]);
});

test("a body is read for a valid key, or over a binding without a key", async () => {
  /** @type {[(request: Request) => any, Record<string, string>, string, boolean][]} */
  const cases = [
    [edge.serve, KEY, "", false],
    [edge.serve, {}, "UNREAD", false],
    [edge.serve, { authorization: "Bearer wrong" }, "UNREAD", false],
    [edge.serveBound, {}, "", true],
    [edge.serveBound, { authorization: "Bearer wrong" }, "UNREAD", true],
  ];
  for (const [handle, headers, problem, bound] of cases) {
    begun = [];
    steps = [done({})];
    await handle(post("[1]", headers));
    const [[line, body]] = begun;
    assert.deepEqual([line.problem, body, line.bound], [problem, problem ? "" : "[1]", bound]);
  }
});

test("nothing in a request says that it came over a binding", async () => {
  await edge.serve(post("[]", { ...KEY, bound: "true", "x-bound": "true" }));
  assert.equal(begun[0][0].bound, false);
});

test("the runtime can call `serve` in place of a Python handler", async () => {
  const { serve } = /** @type {any} */ (edge);
  for (const call of [
    () => serve(post("[]")),
    () => serve.callRelaxed(post("[]"), {}, {}),
    () => serve.callWithOptions({ relaxed: true }, post("[]"), {}, {}),
  ]) {
    steps = [done({ status: 201 })];
    assert.equal((await call()).status, 201);
  }
});

test("the response has Python's status, headers and text", async () => {
  steps = [done({ status: 400, headers: { "content-type": "a/b" }, body: ["é", "1"] })];
  const response = await edge.serve(post("[]"));
  assert.deepEqual(
    [response.status, response.headers.get("content-type"), await response.text()],
    [400, "a/b", "é1"],
  );
  assert.equal(response.headers.get("d1-round-trips"), null);
  steps = [done({ status: 204, body: [] })];
  assert.equal((await edge.serve(post("[]"))).body, null);
});

test("texts of the batch are put into the response, and its cost into headers", async () => {
  env.DB = {
    prepare: (/** @type {string} */ sql) => ({ bind: () => sql }),
    batch: async (/** @type {string[]} */ statements) =>
      statements.map((sql) => ({
        results: [{ text: `"${sql}"` }],
        meta: { changes: 0, rows_read: 3, rows_written: 1 },
      })),
  };
  const batch = ["a", "b"].map((sql) => [sql, [], true]);
  steps = [{ batch, ...done({ body: ['{"x":', 1, ',"y":', 0, "}"], cost: true }) }];
  const response = await edge.serve(post("[]"));
  assert.equal(await response.text(), '{"x":"b","y":"a"}');
  assert.deepEqual(
    ["d1-round-trips", "d1-rows-read", "d1-rows-written"].map((name) => response.headers.get(name)),
    ["1", "6", "2"],
  );
});

test("an asset is served by its path below the request's origin", async () => {
  env.ASSETS = { fetch: (/** @type {Request} */ request) => new Response(request.url) };
  steps = [done({ kind: "asset", body: ["/graphiql/"] })];
  const response = await edge.serve(new Request("http://test/graphql"));
  assert.equal(await response.text(), "http://test/graphiql/");
});

test("an answer to a client of event streams is an event and the end", async () => {
  steps = [done({ kind: "event", body: ['{"data":1}'] })];
  const response = await edge.serve(post("[]"));
  assert.equal(
    await response.text(),
    'event: next\ndata: {"data":1}\n\nevent: complete\ndata:\n\n',
  );
});

test("a subscription over HTTP is streamed from a socket to the tracker", async () => {
  /** @type {string[]} */
  const sent = [];
  const webSocket = Object.assign(new EventTarget(), {
    accept() {},
    close() {},
    send: (/** @type {string} */ text) => sent.push(text),
  });
  env.TRACKER = {
    idFromName: () => "shard",
    get: () => ({ fetch: () => ({ webSocket }) }),
  };
  steps = [done({ kind: "stream", headers: { "x-a": "b" }, body: ['{"query":"q"}'] })];
  const response = await edge.serve(post("[]"));
  assert.equal(response.headers.get("x-a"), "b");
  assert.ok(sent.at(-1)?.includes('"payload":{"query":"q"}'));
  webSocket.dispatchEvent(Object.assign(new Event("close"), { code: 4403, reason: "no" }));
  assert.match(await response.text(), /UNAUTHENTICATED/);
});

test("a task that Python starts itself is run to its value", async () => {
  steps = [{ done: [1, "two"] }];
  env.DB = { prepare: () => ({ bind() {} }), batch: async () => [] };
  assert.equal(await edge.run('{"task":5,"batch":[]}'), '[1,"two"]');
  assert.deepEqual(begun, [[5, { outcomes: [] }]]);
});

test("only the variables that Python needs are handed over", () => {
  Object.assign(env, { FLOWFLARE_API_KEY: "k", MAX_SOCKETS: "5", OTHER_SECRET: "s" });
  const names = JSON.stringify(["FLOWFLARE_API_KEY", "FLOWFLARE_READ_KEY", "MAX_SOCKETS"]);
  assert.deepEqual(JSON.parse(edge.configuration(names)), {
    FLOWFLARE_API_KEY: "k",
    MAX_SOCKETS: "5",
  });
});
