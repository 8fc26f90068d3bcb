// The sender against a service that answers as a test wants: batches, order, refusals, bounds.

import assert from "node:assert/strict";
import test from "node:test";
import { Connection } from "../../../../clients/typescript/src/connection.ts";
import { JsonText, snapshot } from "../../../../clients/typescript/src/json.ts";
import { Known } from "../../../../clients/typescript/src/plan.ts";
import { Sender } from "../../../../clients/typescript/src/sender.ts";

/** @typedef {import("../../../../clients/typescript/src/updates.ts").StepUpdate} StepUpdate */
/** @typedef {import("../../../../clients/typescript/src/plan.ts").History} History */
/** @typedef {Record<string, any>} Answer */

const LIMIT_MS = 20_000;

/**
 * A sender, and the batches that its service was sent.
 * @param {(steps: any[], number: number) => Answer | null} answer to each call; null for none
 * @param {{ record?: Known, ask?: () => Promise<History> }} [history] of the instance in the service
 */
function service(
  answer = () => ({ data: { track: { __typename: "TrackPayload" } } }),
  { record = new Known("RUNNING"), ask } = {},
) {
  /** @type {any[][]} */
  const batches = [];
  const serviceBinding = {
    fetch: async (/** @type {string} */ _url, /** @type {{ body: string }} */ { body }) => {
      const { updates } = JSON.parse(body).variables;
      batches.push(updates.map((/** @type {any} */ update) => update.step));
      const answered = answer(batches.at(-1) ?? [], batches.length);
      return {
        status: answered ? 200 : 503,
        text: async () => (answered ? JSON.stringify(answered) : "down"),
      };
    },
  };
  const sender = new Sender(new Connection({ serviceBinding }), async () => record, ask);
  return { sender, batches };
}

/**
 * @param {string} name
 * @param {Partial<StepUpdate>} [more]
 */
const step = (name, more = {}) => ({
  updates: [
    {
      step: {
        instanceId: "i",
        name,
        status: /** @type {const} */ ("RUNNING"),
        attempt: 1,
        ...more,
      },
    },
  ],
});

/** @param {any[][]} batches */
const names = (batches) => batches.map((steps) => steps.map((step) => step.name));

/**
 * @param {string} code
 * @param {string[]} [path]
 */
const refusal = (code, path) => ({
  data: { track: { __typename: "Refusal", code, message: "no", path } },
});

const away = null;
const accepted = { data: { track: { __typename: "TrackPayload" } } };

test("reports made together are sent in one call, in order", async () => {
  const { sender, batches } = service();
  for (const name of ["a", "b", "c"]) sender.add(step(name));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(names(batches), [["a", "b", "c"]]);
  assert.equal(sender.close(), undefined);
});

test("a call has at most a hundred updates", async () => {
  const { sender, batches } = service();
  for (let number = 0; number < 250; number++) sender.add(step(`s${number}`));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(
    batches.map((steps) => steps.length),
    [100, 100, 50],
  );
  assert.deepEqual(names(batches).flat().slice(-2), ["s248", "s249"]);
});

test("a call has at most as many bytes as the service accepts", async () => {
  const { sender, batches } = service();
  const output = snapshot("x".repeat(500_000));
  for (const name of ["a", "b", "c", "d"]) sender.add(step(name, { status: "COMPLETED", output }));
  await sender.flush(LIMIT_MS);
  assert.deepEqual(names(batches), [
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("one refused update is left out, and the others arrive in order", async () => {
  const { sender, batches } = service((steps) =>
    steps.some(({ name }) => name === "bad") ? refusal("ILLEGAL_TRANSITION") : accepted,
  );
  for (const name of ["a", "b", "bad", "c", "d"]) sender.add(step(name));
  assert.equal(await sender.flush(LIMIT_MS), true);
  const arrived = batches.filter((steps) => steps.every(({ name }) => name !== "bad"));
  assert.deepEqual(names(arrived).flat(), ["a", "b", "c", "d"]);
  assert.match(
    sender.close() ?? "",
    /^1 report\(s\) could not be delivered: IllegalTransitionError: no$/,
  );
});

test("a value that the service finds too large is sent as its preview", async () => {
  const { sender, batches } = service((steps) =>
    steps.some(({ output }) => typeof output === "string")
      ? refusal("PAYLOAD_TOO_LARGE", ["updates", "0", "step", "output"])
      : accepted,
  );
  sender.add(step("a", { status: "COMPLETED", output: snapshot("y".repeat(5000)) }));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.equal(batches.at(-1)?.[0].output.bytes, 5002);
  assert.equal(batches.at(-1)?.[0].outputKind, "TRUNCATED");
  assert.equal(sender.close(), undefined);
});

test("an index that is taken is left to the service", async () => {
  const { sender, batches } = service((steps) =>
    steps.some(({ index }) => index) ? refusal("INVALID_INPUT", ["updates", "index"]) : accepted,
  );
  sender.add(step("a", { index: 1 }));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(
    batches.map(([sent]) => sent.index),
    [1, undefined],
  );
  assert.equal(sender.close(), undefined);
});

test("a failed call is repeated, and later reports follow it", async () => {
  const { sender, batches } = service((_, number) =>
    number < 3 ? { errors: [{ message: "oops", extensions: { code: "INTERNAL" } }] } : accepted,
  );
  sender.add(step("a"), { soon: true });
  await new Promise((done) => setTimeout(done, 50));
  sender.add(step("b"));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(names(batches)[0], ["a"]);
  assert.deepEqual(names(batches).at(-1), ["a", "b"]);
});

test("a refused key stops the sender at once", async () => {
  const { sender, batches } = service(() => ({
    errors: [{ message: "No valid key.", extensions: { code: "UNAUTHENTICATED" } }],
  }));
  sender.add(step("a"));
  assert.equal(await sender.flush(LIMIT_MS), true);
  sender.add(step("b"));
  await sender.flush(LIMIT_MS);
  assert.equal(batches.length, 1);
  assert.match(
    sender.close() ?? "",
    /^2 report\(s\) could not be delivered: UnauthenticatedError: /,
  );
});

test("the reports of a run that was restarted are dropped at once", async () => {
  const { sender, batches } = service(() => ({
    data: { track: { __typename: "RunMismatch", code: "RUN_MISMATCH", message: "no", run: 2 } },
  }));
  for (const name of ["a", "b", "c"]) sender.add(step(name));
  assert.equal(await sender.flush(LIMIT_MS), true);
  sender.add(step("d"));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(names(batches), [["a", "b", "c"]]);
  assert.equal(sender.close(), "4 report(s) could not be delivered: RunMismatchError: no");
});

test("reports that are dropped before the record was read are never sent", async () => {
  const { sender, batches } = service();
  sender.add(step("a"));
  sender.drop("the run was restarted");
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(batches, []);
  assert.equal(sender.close(), "1 report(s) could not be delivered: the run was restarted");
});

test("nothing is logged if no report was waiting to be dropped", async () => {
  const { sender } = service();
  sender.add(step("a"));
  await sender.flush(LIMIT_MS);
  sender.drop("the run was restarted");
  assert.equal(sender.close(), undefined);
});

test("a name with half of a surrogate pair is sent as JSON", async () => {
  const { sender, batches } = service();
  sender.add(step("\ud800\n"));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(names(batches), [["\ud800\n"]]);
});

test("a flush waits no longer than its limit", async () => {
  const { sender } = service(() => away);
  sender.add(step("a"));
  assert.equal(await sender.flush(50), false);
  assert.match(sender.close() ?? "", /^1 report\(s\) could not be delivered: UnreachableError: /);
});

test("while the service is away the queue is limited, and the oldest reports are dropped", async () => {
  let isAway = true;
  const { sender, batches } = service(() => (isAway ? away : accepted));
  const total = 5100;
  for (let number = 0; number < total; number++) sender.add(step(`s${number}`));
  assert.equal(await sender.flush(50), false);
  isAway = false;
  assert.equal(await sender.flush(LIMIT_MS), true);
  const arrived = new Set(names(batches).flat());
  assert.ok(arrived.has(`s${total - 1}`));
  assert.match(sender.close() ?? "", /^100 report\(s\) could not be delivered: /);
});

test("while the service is away large values are cut to their previews", async () => {
  let isAway = true;
  const { sender, batches } = service(() => (isAway ? away : accepted));
  const output = new JsonText(JSON.stringify("x".repeat(500_000)), "JSON");
  for (let number = 0; number < 20; number++)
    sender.add(step(`s${number}`, { status: "COMPLETED", output }));
  assert.equal(await sender.flush(50), false);
  isAway = false;
  const before = batches.length;
  assert.equal(await sender.flush(LIMIT_MS), true);
  const outputs = batches
    .slice(before)
    .flat()
    .map(({ output }) => typeof output);
  assert.deepEqual(new Set(outputs), new Set(["string", "object"]));
  assert.equal(outputs.length, 20);
});

const HOLD_MS = 30_000;
const followed = { data: { track: { __typename: "TrackPayload", followed: true } } };
const failure = { name: "E", message: "no", stack: "E: no" };

/**
 * A sender for an instance that is followed, and the questions that it has asked.
 * @param {History[]} histories the answers to its questions; the last is repeated
 * @param {(steps: any[]) => Answer} [answer]
 * @param {History} [begins] the history in the record that is read first
 */
function following(histories, answer = () => followed, begins = "recorded") {
  const asked = { count: 0 };
  const ask = async () => {
    const history = histories[Math.min(asked.count++, histories.length - 1)];
    assert.ok(history);
    return history;
  };
  const record = new Known("RUNNING", [], 1, begins);
  return { ...service(answer, { record, ask }), asked };
}

test("while the instance is followed nothing is sent, and one question is asked at the end", async () => {
  const { sender, batches, asked } = following(["recorded"]);
  for (const name of ["a", "b"]) sender.add(step(name), { soon: true });
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.equal(asked.count, 0);
  assert.equal(await sender.flush(LIMIT_MS, { isEnd: true }), true);
  assert.deepEqual([batches, asked.count], [[], 1]);
  assert.equal(sender.close(), undefined);
});

test("once the service says that it follows, the reports that come then are held", async () => {
  const { sender, batches, asked } = following(["recorded"], () => followed, "none");
  sender.add(step("a"));
  await sender.flush(LIMIT_MS);
  for (const name of ["b", "c"]) sender.add(step(name), { soon: true });
  await sender.flush(LIMIT_MS, { isEnd: true });
  assert.deepEqual([names(batches), asked.count], [[["a"]], 1]);
  assert.equal(sender.close(), undefined);
});

test("reports are sent in order if the instance is followed no longer", async () => {
  const { sender, batches, asked } = following(["none"], () => accepted);
  for (const name of ["a", "b", "c"]) sender.add(step(name));
  assert.equal(await sender.flush(LIMIT_MS, { isEnd: true }), true);
  sender.add(step("d"));
  assert.equal(await sender.flush(LIMIT_MS, { isEnd: true }), true);
  assert.deepEqual([names(batches), asked.count], [[["a", "b", "c"], ["d"]], 1]);
});

test("a stack is sent at once, after the reports before it, and its answer saves the question", async () => {
  const { sender, batches, asked } = following(["recorded"]);
  sender.add(step("a"));
  sender.add(step("a", { status: "RETRYING", error: failure }), { soon: true });
  sender.add(step("a", { attempt: 2 }));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(
    batches.map((steps) => steps.map(({ status }) => status)),
    [["RUNNING", "RETRYING", "RUNNING"]],
  );
  await sender.flush(LIMIT_MS, { isEnd: true });
  assert.deepEqual([batches.length, asked.count], [1, 0]);
});

test("an error without a stack is held like any other report", async () => {
  const { sender, batches } = following(["recorded"]);
  sender.add(step("a", { status: "RETRYING", error: { name: "E", message: "no" } }));
  assert.equal(await sender.flush(LIMIT_MS), true);
  assert.deepEqual(batches, []);
  sender.close();
});

test("a question is asked at most every half minute, and only if something is reported", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const settle = () => new Promise((done) => setImmediate(done));
  const { sender, batches, asked } = following(["recorded"]);
  for (let second = 0; second < 300; second += 5) {
    sender.add(step(`s${second}`), { soon: true });
    t.mock.timers.tick(5_000);
    await settle();
  }
  assert.ok(asked.count >= 8 && asked.count <= 10, `${asked.count} questions`);
  t.mock.timers.tick(HOLD_MS);
  await settle();
  const { count } = asked;
  t.mock.timers.tick(10 * HOLD_MS);
  await settle();
  assert.equal(asked.count, count);
  assert.deepEqual(batches, []);
  assert.equal(sender.close(), undefined);
});

test("a run that ends before its history begins waits for that, or sends what is not recorded", async () => {
  for (const last of /** @type {History[]} */ (["recorded", "none"])) {
    const { sender, batches, asked } = following(
      ["awaited", "awaited", last],
      () => (last === "none" ? accepted : followed),
      "awaited",
    );
    sender.add(step("a"));
    sender.add(step("a", { status: "FAILED", error: failure }));
    assert.equal(await sender.flush(LIMIT_MS, { isEnd: true }), true);
    assert.equal(asked.count, 3);
    // Only the stack is needed where the history is recorded.
    const expected = last === "none" ? ["RUNNING", "FAILED"] : ["FAILED"];
    assert.deepEqual(
      batches.flat().map(({ status }) => status),
      expected,
    );
    assert.equal(sender.close(), undefined);
  }
});

test("a run whose history never begins ends undelivered", async () => {
  const { sender, asked } = following(["awaited"], () => followed, "awaited");
  sender.add(step("a"));
  assert.equal(await sender.flush(300, { isEnd: true }), false);
  assert.ok(asked.count < 6);
  assert.match(sender.close() ?? "", /^1 report\(s\) could not be delivered/);
});

test("reports that exceed the queue are lost only if the instance is followed no longer", async () => {
  for (const [history, undelivered] of /** @type {[History, RegExp][]} */ ([
    ["recorded", /^$/],
    ["none", /^100 report\(s\) could not be delivered/],
  ])) {
    const { sender } = following([history], () => accepted);
    sender.add(step("first"), { soon: true });
    await sender.flush(LIMIT_MS);
    for (let number = 1; number < 5100; number++) sender.add(step(`s${number}`));
    assert.equal(await sender.flush(LIMIT_MS, { isEnd: true }), true);
    assert.match(sender.close() ?? "", undelivered);
  }
});

test("nothing is asked about an instance that is never followed", async () => {
  const { sender, asked } = following(["recorded"], () => accepted, "none");
  for (const name of ["a", "b"]) {
    sender.add(step(name));
    await sender.flush(LIMIT_MS);
  }
  await sender.flush(LIMIT_MS, { isEnd: true });
  assert.equal(asked.count, 0);
});
