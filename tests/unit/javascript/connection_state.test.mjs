import assert from "node:assert/strict";
import test from "node:test";
import { expiryOf, stateOf, stateText } from "../../../tracker_do/connection_state.mjs";

/** @type {import("../../../tracker_do/connection_state.mjs").ConnectionState} */
const STATE = {
  principal: { scopes: ["READ"], exp: 5, key: "fingerprint" },
  initDeadline: 10,
  isBound: true,
  subscriptions: new Map([["1", ["plan", null]]]),
  pingedAt: 20,
  running: ["q"],
};

test("a state is written with the names that are stored", () => {
  assert.deepEqual(JSON.parse(stateText(STATE)), {
    who: { scopes: ["READ"], exp: 5, key: "fingerprint" },
    until: 10,
    bound: true,
    streams: [["1", ["plan", null]]],
    pingedAt: 20,
    running: ["q"],
  });
});

test("a state is read as it was written", () => {
  assert.deepEqual(stateOf(JSON.parse(stateText(STATE))), STATE);
});

test("members can be added and left out", () => {
  const written = JSON.parse(stateText(STATE, { running: undefined, position: 7 }));
  assert.equal(written.position, 7);
  assert.equal("running" in written, false);
  assert.deepEqual(stateOf(written).running, []);
});

test("any text is an id, and any position is kept with its type", () => {
  const subscriptions = new Map(
    /** @type {[string, [string, number | string | null]][]} */ ([
      ["__proto__", ["a", "7"]],
      ["constructor", ["b", 7]],
      ["", ["c", ""]],
    ]),
  );
  const read = stateOf(JSON.parse(stateText({ subscriptions, running: [] })));
  assert.deepEqual([...read.subscriptions], [...subscriptions]);
});

test("a key has no expiry, a token has one in seconds", () => {
  assert.equal(expiryOf(STATE), 5_000);
  assert.equal(expiryOf({ ...STATE, principal: { exp: null } }), Infinity);
  assert.equal(expiryOf({ ...STATE, principal: undefined }), Infinity);
});
