import assert from "node:assert/strict";
import test from "node:test";
import { Alarm } from "../../../tracker_do/alarm.mjs";

/**
 * An object's alarm, and what was read and set.
 * @param {number | null} stored
 */
function open(stored) {
  /** @type {number[]} */
  const set = [];
  let reads = 0;
  const storage = {
    getAlarm: async () => ((reads += 1), stored),
    setAlarm: async (/** @type {number} */ at) => void set.push(at),
  };
  return { alarm: new Alarm(/** @type {any} */ (storage)), set, reads: () => reads };
}

test("a time is set unless the alarm is due before it", async () => {
  for (const [stored, at, expected] of /** @type {const} */ ([
    [null, 500, [500]],
    [400, 500, []],
    [500, 500, []],
    [600, 500, [500]],
  ])) {
    const { alarm, set } = open(stored);
    await alarm.schedule(at);
    assert.deepEqual(set, expected, `${stored} was stored`);
  }
});

test("an earlier time replaces a later one, and the storage is read once", async () => {
  const { alarm, set, reads } = open(null);
  for (const at of [500, 700, 300, 500]) await alarm.schedule(at);
  assert.deepEqual(set, [500, 300]);
  assert.equal(reads(), 1);
});

test("times that are scheduled while the storage is read give the earliest", async () => {
  for (const times of [
    [500, 300],
    [300, 500],
  ]) {
    const { alarm, set } = open(null);
    await Promise.all(times.map((at) => alarm.schedule(at)));
    assert.equal(set.at(-1), 300);
  }
});

test("after the alarm has fired, any time is set", async () => {
  const { alarm, set } = open(100);
  await alarm.schedule(200);
  alarm.fired();
  await alarm.schedule(900);
  assert.deepEqual(set, [900]);
});
