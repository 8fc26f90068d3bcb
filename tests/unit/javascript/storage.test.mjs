import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { Storage } from "../../../tracker_do/storage.mjs";
import { DurableObject } from "../../support/durable_object.mjs";
import { stateWith } from "../../support/tracker.mjs";

/** @type {DurableObject} */
let object;
/** @type {Storage} */
let storage;

beforeEach(() => {
  object = new DurableObject();
  storage = new Storage(object.ctx);
});

/** A state of more than 16 KiB. */
const large = () => stateWith({ ["x".repeat(20_000)]: ["plan", null] });

test("failures are counted, and the count survives eviction", () => {
  assert.equal(storage.failures, 0);
  storage.failures += 1;
  storage.failures += 1;
  assert.equal(new Storage(object.ctx).failures, 2);
  storage.failures = 0;
  assert.equal(new Storage(object.ctx).failures, 0);
});

test("definitions are stored by digest, and survive eviction", () => {
  storage.storeDefinition(["plan a", "document", "{ a }", "[1]"]);
  storage.storeDefinition(["plan b", "document", "{ a }", "[2]"]);
  storage.storeDefinition(["plan a", "document", "{ a }", "[1]"]);
  assert.deepEqual(new Storage(object.ctx).definitions(["plan b", "plan a", "absent"]), {
    "plan a": ["{ a }", "[1]"],
    "plan b": ["{ a }", "[2]"],
  });
  assert.deepEqual(object.rows("SELECT count(*) FROM documents"), [[1]]);
});

test("a document is deleted with the last definition that uses it", () => {
  storage.storeDefinition(["plan a", "document", "{ a }", "[1]"]);
  storage.storeDefinition(["plan b", "document", "{ a }", "[2]"]);
  storage.deleteDefinition("plan a");
  assert.deepEqual(object.rows("SELECT digest FROM documents"), [["document"]]);
  storage.deleteDefinition("plan b");
  assert.deepEqual(object.rows("SELECT digest FROM documents"), []);
});

test("only the definitions of plans in use are kept", () => {
  for (const name of ["a", "b", "c"]) {
    storage.storeDefinition([name, `document ${name}`, `{ ${name} }`, "[]"]);
  }
  storage.keepDefinitions(new Set(["b"]));
  assert.deepEqual(object.rows("SELECT digest, document FROM feeds"), [["b", "document b"]]);
  assert.deepEqual(object.rows("SELECT digest FROM documents"), [["document b"]]);
});

test("a state is loaded as it was saved, without what was running", () => {
  const socket = object.newSocket("a").webSocket;
  const state = stateWith({ 1: ["plan", 5] }, { pingedAt: 3, running: ["query"] });
  storage.save(socket, state, 9);
  const loaded = new Storage(object.ctx).load(socket);
  assert.deepEqual(loaded, {
    state: { ...state, running: [], initDeadline: undefined, isBound: undefined },
    position: 9,
  });
  storage.save(socket, state);
  assert.equal(new Storage(object.ctx).load(socket).position, undefined);
});

test("a state that is too large for an attachment is stored in SQLite", () => {
  const socket = object.newSocket("a").webSocket;
  storage.save(socket, large(), 4);
  const { state, position } = new Storage(object.ctx).load(socket);
  assert.deepEqual([...state.subscriptions], [...large().subscriptions]);
  assert.equal(position, 4);
});

test("a large state keeps its row, and gives it up when it is small again or discarded", () => {
  const socket = object.newSocket("a").webSocket;
  const count = () => object.rows("SELECT count(*) FROM attachments")[0][0];
  storage.save(socket, large());
  // An eviction in between: the row is known by the attachment.
  storage = new Storage(object.ctx);
  storage.load(socket);
  storage.save(socket, large());
  assert.equal(count(), 1);
  storage.save(socket, stateWith());
  assert.equal(count(), 0);
  storage.save(socket, large());
  storage.discard(socket);
  assert.equal(count(), 0);
});

test("rows of sockets that are gone are deleted, and rows of others are not", () => {
  const [open, gone] = [object.newSocket("open").webSocket, object.newSocket("gone").webSocket];
  storage.save(open, large());
  storage.save(gone, large());
  storage = new Storage(object.ctx);
  storage.load(open);
  storage.keepAttachments();
  assert.equal(object.rows("SELECT count(*) FROM attachments")[0][0], 1);
  assert.equal(new Storage(object.ctx).load(open).state.subscriptions.size, 1);
});
