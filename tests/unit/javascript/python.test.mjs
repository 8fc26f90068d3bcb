import assert from "node:assert/strict";
import test from "node:test";
import * as installed from "../../../tracker_do/python.mjs";

test("functions and settings of Python are there once they are installed", () => {
  const names = /** @type {const} */ (["receive", "revokedKeys", "execute", "poll", "resume"]);
  const [receive, revokedKeys, execute, poll, resume] = names.map((name) => () => name);
  const settings = { limits: { sockets: 2 }, closes: { unread: [1013, "unread"] } };
  installed.install(JSON.stringify(settings), receive, revokedKeys, execute, poll, resume);
  assert.deepEqual(installed.limits, settings.limits);
  assert.deepEqual(installed.closes, settings.closes);
  for (const name of names) {
    assert.equal(/** @type {any} */ (installed.python)[name](), name);
  }
});
