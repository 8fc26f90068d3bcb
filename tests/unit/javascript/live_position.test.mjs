import assert from "node:assert/strict";
import test from "node:test";
import { LivePosition } from "../../../tracker_do/live_position.mjs";
import { Socket } from "../../support/durable_object.mjs";

const sockets = Array.from({ length: 5 }, (_, n) => new Socket(`${n}`).webSocket);

test("three of the open sockets keep the position, and are saved whenever it advances", () => {
  const position = new LivePosition();
  assert.deepEqual([...position.advance(4, sockets)], sockets.slice(0, 3));
  assert.deepEqual(
    sockets.map((socket) => position.keptBy(socket)),
    [4, 4, 4, undefined, undefined],
  );
  assert.deepEqual([...position.advance(4, sockets)], []);
  assert.deepEqual([...position.advance(5, sockets)], sockets.slice(0, 3));
  assert.equal(position.value, 5);
});

test("fewer sockets keep it alone", () => {
  const position = new LivePosition();
  assert.deepEqual([...position.advance(4, sockets.slice(0, 1))], sockets.slice(0, 1));
  // Another one joins them when it is open.
  assert.deepEqual([...position.advance(5, sockets.slice(0, 2))], sockets.slice(0, 2));
});

test("the last socket that is forgotten leaves the position to others", () => {
  const position = new LivePosition();
  position.advance(4, sockets.slice(0, 2));
  assert.equal(position.forget(sockets[4]), false);
  assert.equal(position.forget(sockets[0]), false);
  assert.equal(position.forget(sockets[1]), true);
  assert.deepEqual([...position.advance(4, sockets.slice(2, 3))], sockets.slice(2, 3));
});

test("the largest position of all attachments is restored", () => {
  const position = new LivePosition();
  assert.equal(position.value, undefined);
  for (const [index, value] of [6, 8, 7].entries()) position.restore(sockets[index], value);
  assert.equal(position.value, 8);
  assert.equal(position.keptBy(sockets[0]), 8);
});

test("position 0 is a position", () => {
  const position = new LivePosition();
  position.restore(sockets[0], 0);
  assert.equal(position.value, 0);
  assert.equal(position.keptBy(sockets[0]), 0);
});
