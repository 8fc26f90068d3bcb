// The updates that are missing in the service's record: tables of cases.

import assert from "node:assert/strict";
import test from "node:test";
import { Known } from "../../../../clients/typescript/src/plan.ts";
import { stepKey } from "../../../../clients/typescript/src/step-names.ts";

const instanceId = "i";
/** The key of the step of the tests. */
const S = stepKey({ name: "s" });

/** @typedef {import("../../../../clients/typescript/src/updates.ts").StepUpdate} StepUpdate */
/** @typedef {import("../../../../clients/typescript/src/statuses.ts").InstanceStatus} InstanceStatus */

/**
 * @param {StepUpdate["status"]} status
 * @param {number} [attempt]
 * @returns {import("../../../../clients/typescript/src/updates.ts").Update}
 */
const step = (status, attempt) => ({
  step: { instanceId, name: "s", status, ...(attempt && { attempt }) },
});

/** @param {InstanceStatus} status */
const instance = (status) => ({ instance: { instanceId, status } });

/**
 * The outcome of an update of the step, given the state that the service has.
 * @param {[StepUpdate["status"], number] | null} known
 * @param {[StepUpdate["status"], number?]} update
 */
function reported(known, update) {
  const steps = known ? [/** @type {const} */ ([S, { status: known[0], attempt: known[1] }])] : [];
  return new Known("RUNNING", /** @type {any} */ (steps)).news({ updates: [step(...update)] });
}

test("an unknown step is reported", () => {
  for (const status of /** @type {const} */ (["RUNNING", "RETRYING", "COMPLETED", "FAILED"])) {
    assert.equal(reported(null, [status, 1]).length, 1, status);
  }
});

test("only the end of a cancelled step is reported", () => {
  const known = new Known("COMPLETED", [[S, { status: "CANCELLED", attempt: 1 }]]);
  for (const status of /** @type {const} */ (["COMPLETED", "FAILED"]))
    assert.deepEqual(known.news({ updates: [step(status, 1)] }), [step(status, 1)], status);
  for (const update of [step("RUNNING", 1), step("RETRYING", 1), step("RUNNING", 2)])
    assert.deepEqual(known.news({ updates: [update] }), []);
});

test("recorded and earlier states are not reported again", () => {
  /** @type {[[StepUpdate["status"], number], [StepUpdate["status"], number?]][]} */
  const cases = [
    [
      ["RUNNING", 1],
      ["RUNNING", 1],
    ],
    [
      ["RETRYING", 1],
      ["RUNNING", 1],
    ],
    [
      ["RETRYING", 2],
      ["RETRYING", 1],
    ],
    [
      ["RUNNING", 2],
      ["RETRYING", 1],
    ],
    [["COMPLETED", 1], ["COMPLETED"]],
    [
      ["COMPLETED", 2],
      ["RUNNING", 3],
    ],
    [
      ["FAILED", 4],
      ["FAILED", 4],
    ],
  ];
  for (const [known, update] of cases)
    assert.deepEqual(reported(known, update), [], `${known} ${update}`);
});

test("a result lost in a crash is reported when the engine replays it", () => {
  assert.deepEqual(reported(["RUNNING", 1], ["COMPLETED"]), [step("COMPLETED")]);
  assert.deepEqual(reported(["RETRYING", 3], ["FAILED"]), [step("FAILED")]);
});

test("an interrupted attempt is reported as failed before the next begins", () => {
  const [first, second] = reported(["RUNNING", 1], ["RUNNING", 2]);
  assert.ok(first && "step" in first);
  assert.deepEqual(
    [first.step.status, first.step.attempt, first.step.error?.name],
    ["RETRYING", 1, "AttemptInterrupted"],
  );
  assert.deepEqual(second, step("RUNNING", 2));
  assert.equal(reported(["RETRYING", 1], ["RUNNING", 2]).length, 1);
});

test("the beginning is reported once, and not while the run sleeps", () => {
  const begins = { instanceId, workflow: "w", status: /** @type {const} */ ("RUNNING") };
  const entry = { updates: [], begins };
  assert.deepEqual(new Known().news(entry), [{ instance: begins }]);
  for (const status of /** @type {const} */ (["QUEUED", "UNKNOWN", "PAUSED"])) {
    assert.deepEqual(new Known(status).news(entry), [{ instance: begins }]);
  }
  for (const status of /** @type {const} */ ([
    "RUNNING",
    "SLEEPING",
    "WAITING",
    "WAITING_FOR_PAUSE",
    "COMPLETED",
  ])) {
    assert.deepEqual(new Known(status).news(entry), [], status);
  }
});

test("a sleep that continues after a pause makes the instance sleep again", () => {
  const known = new Known("RUNNING", [[S, { status: "RUNNING", attempt: 0 }]]);
  const sleeping = {
    instance: { instanceId, status: /** @type {const} */ ("SLEEPING"), sleepUntil: "later" },
  };
  const entry = { updates: [step("RUNNING"), sleeping] };
  assert.deepEqual(known.news(entry), [{ instance: { ...sleeping.instance, sleepUntil: null } }]);
});

test("the replay of an ended sleep leaves the instance unchanged", () => {
  const known = new Known("WAITING", [[S, { status: "COMPLETED", attempt: 0 }]]);
  assert.deepEqual(known.news({ updates: [step("RUNNING"), instance("SLEEPING")] }), []);
  assert.deepEqual(known.news({ updates: [step("COMPLETED"), instance("RUNNING")] }), []);
});

test("only ends of steps are reported for a finished instance", () => {
  const known = new Known("TERMINATED", [[S, { status: "RUNNING", attempt: 1 }]]);
  assert.deepEqual(known.news({ updates: [step("COMPLETED", 1)] }), [step("COMPLETED", 1)]);
  assert.deepEqual(known.news({ updates: [step("RETRYING", 1)] }), []);
  assert.deepEqual(known.news({ updates: [instance("RUNNING")] }), []);
});

test("steps with a name differ by their occurrence", () => {
  const third = { name: "load", occurrence: 3 };
  const known = new Known("RUNNING", [[stepKey(third), { status: "COMPLETED", attempt: 1 }]]);
  assert.equal(known.hasEnded(third), true);
  for (const other of [
    { name: "load" },
    { name: "load", occurrence: 2 },
    { name: "load (3)" },
    { name: "3 load" },
  ])
    assert.equal(known.hasEnded(other), false, JSON.stringify(other));
  known.note({ step: { instanceId, name: "load", status: "RUNNING", attempt: 1 } });
  assert.equal(known.step({ name: "load", occurrence: 1 })?.status, "RUNNING");
});

test("a step whose name is not printable is found under its stored name", () => {
  const stored = stepKey({ name: "load_rows~e30ba439", occurrence: 2 });
  const known = new Known("RUNNING", [[stored, { status: "COMPLETED", attempt: 0 }]]);
  assert.equal(known.hasEnded({ name: "load\nrows", occurrence: 2 }), true);
  assert.equal(known.hasEnded({ name: "load rows", occurrence: 2 }), false);
});

test("every update has the run of the record, also one of an interrupted attempt", () => {
  const key = { instanceId, workflow: "w" };
  const second = { ...key, name: "s", occurrence: 2 };
  /** @type {[string, import("../../../../clients/typescript/src/plan.ts").KnownStep]} */
  const running = [stepKey(second), { status: "RUNNING", attempt: 1 }];
  const known = new Known("RUNNING", [running], 4);
  const updates = known.copy().news({
    updates: [
      { instance: { ...key, status: "WAITING" } },
      { step: { ...second, status: "RUNNING", attempt: 2 } },
    ],
  });
  const [waiting, interrupted, next] = updates;
  assert.deepEqual(waiting, { instance: { ...key, status: "WAITING", run: 4 } });
  assert.ok(interrupted && "step" in interrupted);
  const { error, ...members } = interrupted.step;
  assert.equal(error?.name, "AttemptInterrupted");
  assert.deepEqual(members, { ...second, status: "RETRYING", attempt: 1, run: 4 });
  assert.deepEqual(next, { step: { ...second, status: "RUNNING", attempt: 2, run: 4 } });
  const begins = { ...key, status: /** @type {const} */ ("RUNNING") };
  assert.deepEqual(new Known("QUEUED", [], 2).news({ updates: [], begins }), [
    { instance: { ...begins, run: 2 } },
  ]);
});
