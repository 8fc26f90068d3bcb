// What is still to be told, by what the service knows: tables of cases.

import assert from "node:assert/strict";
import test from "node:test";
import { Known } from "../../../../clients/typescript/src/plan.ts";

const instanceId = "i";

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
 * What an update of the step comes to where the service has it so.
 * @param {[StepUpdate["status"], number] | null} known
 * @param {[StepUpdate["status"], number?]} told
 */
function told(known, told) {
  const steps = known
    ? [/** @type {const} */ (["s", { status: known[0], attempt: known[1] }])]
    : [];
  return new Known("RUNNING", /** @type {any} */ (steps)).news({ updates: [step(...told)] });
}

test("a step that is unknown is told", () => {
  for (const status of /** @type {const} */ (["RUNNING", "RETRYING", "COMPLETED", "FAILED"])) {
    assert.equal(told(null, [status, 1]).length, 1, status);
  }
});

test("what the service has, or has been past, is not told again", () => {
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
    assert.deepEqual(told(known, update), [], `${known} ${update}`);
});

test("what a crash lost is told from the result that the engine has", () => {
  assert.deepEqual(told(["RUNNING", 1], ["COMPLETED"]), [step("COMPLETED")]);
  assert.deepEqual(told(["RETRYING", 3], ["FAILED"]), [step("FAILED")]);
});

test("an attempt that was cut off is told as failed before the next begins", () => {
  const [first, second] = told(["RUNNING", 1], ["RUNNING", 2]);
  assert.ok(first && "step" in first);
  assert.deepEqual(
    [first.step.status, first.step.attempt, first.step.error?.name],
    ["RETRYING", 1, "AttemptInterrupted"],
  );
  assert.deepEqual(second, step("RUNNING", 2));
  assert.equal(told(["RETRYING", 1], ["RUNNING", 2]).length, 1);
});

test("the beginning is told once, and not while the run sleeps", () => {
  const begins = { instanceId, workflow: "w", status: /** @type {const} */ ("RUNNING") };
  const entry = { updates: [], begins };
  assert.deepEqual(new Known().news(entry), [{ instance: begins }]);
  for (const status of /** @type {const} */ (["QUEUED", "UNKNOWN", "PAUSED"])) {
    assert.deepEqual(new Known(status).news(entry), [instance("RUNNING")]);
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

test("a sleep that goes on after a pause makes the instance sleep again", () => {
  const known = new Known("RUNNING", [["s", { status: "RUNNING", attempt: 0 }]]);
  const sleeping = {
    instance: { instanceId, status: /** @type {const} */ ("SLEEPING"), sleepUntil: "later" },
  };
  const entry = { updates: [step("RUNNING"), sleeping] };
  assert.deepEqual(known.news(entry), [{ instance: { ...sleeping.instance, sleepUntil: null } }]);
});

test("the replay of a sleep that is over leaves the instance as it is", () => {
  const known = new Known("WAITING", [["s", { status: "COMPLETED", attempt: 0 }]]);
  assert.deepEqual(known.news({ updates: [step("RUNNING"), instance("SLEEPING")] }), []);
  assert.deepEqual(known.news({ updates: [step("COMPLETED"), instance("RUNNING")] }), []);
});

test("a finished instance is told of the ends of steps alone", () => {
  const known = new Known("TERMINATED", [["s", { status: "RUNNING", attempt: 1 }]]);
  assert.deepEqual(known.news({ updates: [step("COMPLETED", 1)] }), [step("COMPLETED", 1)]);
  assert.deepEqual(known.news({ updates: [step("RETRYING", 1)] }), []);
  assert.deepEqual(known.news({ updates: [instance("RUNNING")] }), []);
});
