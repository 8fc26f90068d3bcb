import assert from "node:assert/strict";
import test from "node:test";
import { KnownCallers } from "../../../schema/callers.mjs";

const FAR = 2 ** 53 - 1;

/**
 * Callers of which `validUntil` knows some headers, and the headers that it was asked for.
 * @param {Record<string, number>} valid
 * @param {number} [size]
 */
function known(valid, size = 10) {
  /** @type {string[]} */
  const asked = [];
  const validUntil = (/** @type {string} */ header) => {
    asked.push(header);
    return valid[header] ?? 0;
  };
  return { callers: new KnownCallers(validUntil, size), asked };
}

test("a valid header is asked for once", () => {
  const { callers, asked } = known({ key: FAR });
  assert.ok(callers.has("key"));
  assert.ok(callers.has("key"));
  assert.deepEqual(asked, ["key"]);
});

test("an invalid header is not remembered: the key may be configured later", () => {
  const { callers, asked } = known({});
  assert.ok(!callers.has("key"));
  assert.ok(!callers.has("key"));
  assert.deepEqual(asked, ["key", "key"]);
});

test("a token is known until it expires", (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const { callers } = known({ token: 1_001 });
  assert.ok(callers.has("token"));
  context.mock.timers.tick(999);
  assert.ok(callers.has("token"));
  context.mock.timers.tick(1);
  assert.ok(!callers.has("token"));
});

test("no more headers are remembered than the limit allows", () => {
  const { callers, asked } = known({ a: FAR, b: FAR, c: FAR }, 2);
  for (const header of ["a", "b", "c", "c", "a"]) assert.ok(callers.has(header));
  assert.deepEqual(asked, ["a", "b", "c", "a"]);
});

test("names of object members are ordinary headers", () => {
  const { callers, asked } = known(Object.create(null, { constructor: { value: FAR } }));
  assert.ok(!callers.has("__proto__"));
  assert.ok(callers.has("constructor"));
  assert.deepEqual(asked, ["__proto__", "constructor"]);
});
