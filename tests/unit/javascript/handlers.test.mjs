import assert from "node:assert/strict";
import test from "node:test";
import { asPythonHandler } from "../../../resolvers/runtime/handlers.mjs";

const handler = asPythonHandler((/** @type {number[]} */ ...values) => values.join("+"));

test("a handler is called like a function", () => {
  assert.equal(handler(1, 2), "1+2");
});

test("the runtime's options precede the values and are dropped", () => {
  assert.equal(handler.callWithOptions({ relaxed: true }, 1, 2), "1+2");
});

test("a relaxed call gets the values alone", () => {
  assert.equal(handler.callRelaxed(1, 2), "1+2");
});
