import assert from "node:assert/strict";
import test from "node:test";
import { eventsOf, streamEvents } from "../../../schema/sse.mjs";

const COMPLETE = "event: complete\ndata:\n\n";

/** The end of a socket that the stream holds. */
class Socket extends EventTarget {
  /** @type {string[]} */
  sent = [];
  /** @type {unknown[][]} */
  closed = [];

  /** @param {string} text */
  send(text) {
    this.sent.push(text);
  }

  /** @param {unknown[]} given */
  close(...given) {
    this.closed.push(given);
  }

  /** @param {string} data a message of the tracker */
  receive(data) {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  /** @param {number} code @param {string} [reason] */
  end(code, reason = "") {
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

function open({ keepAliveMs = 1_000_000 } = {}) {
  const socket = new Socket();
  const payload = '{"query":"q"}';
  const stream = streamEvents(/** @type {any} */ (socket), "Bearer k", payload, keepAliveMs);
  const reader = stream.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  return { socket, reader, read };
}

/** Read to the end. @param {ReadableStreamDefaultReader<Uint8Array>} reader */
async function rest(reader) {
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value);
  }
  return text;
}

test("the operation is subscribed to with the request's key", async () => {
  const { socket, read } = open();
  assert.deepEqual(
    socket.sent.map((text) => JSON.parse(text)),
    [
      { type: "connection_init", payload: { authorization: "Bearer k" } },
      { id: "stream", type: "subscribe", payload: { query: "q" } },
    ],
  );
  assert.equal(await read(), "retry: 1000\n\n");
  socket.end(1000);
});

test("a result is an event whose id is its cursor", async () => {
  const { socket, read } = open();
  await read();
  const frame = '{"id":"stream","type":"next","payload":';
  socket.receive(`${frame}{"data":{"a":1},"extensions":{"cursor":"0000000000000007"}}}`);
  assert.equal(
    await read(),
    'id: 0000000000000007\nevent: next\ndata: {"data":{"a":1},"extensions":' +
      '{"cursor":"0000000000000007"}}\n\n',
  );
  socket.receive(`${frame}{"data":{"a":2}}}`);
  assert.equal(await read(), 'event: next\ndata: {"data":{"a":2}}\n\n');
  socket.end(1000);
});

test("a cursor inside the data is not the event's id", async () => {
  const { socket, read } = open();
  await read();
  const data = '{"data":{"x":{"extensions":{"cursor":"7"}}}}';
  socket.receive(`{"id":"stream","type":"next","payload":${data}}`);
  assert.equal(await read(), `event: next\ndata: ${data}\n\n`);
  socket.end(1000);
});

test("JSON on several lines stays one event", () => {
  assert.equal(
    eventsOf('{"a":\r\n1,\n"b":\r2}'),
    `event: next\ndata: {"a":\ndata: 1,\ndata: "b":\ndata: 2}\n\n${COMPLETE}`,
  );
});

test("an error ends the stream with its result", async () => {
  const { socket, reader } = open();
  const reading = rest(reader);
  socket.receive('{"id":"stream","type":"error","payload":[{"message":"no"}]}');
  assert.equal(
    await reading,
    `retry: 1000\n\nevent: next\ndata: {"errors":[{"message":"no"}]}\n\n${COMPLETE}`,
  );
  assert.deepEqual(socket.closed, [[1000, "Stream ended"]]);
});

test("a complete operation ends the stream", async () => {
  const { socket, reader } = open();
  const reading = rest(reader);
  socket.receive('{"id":"stream","type":"complete"}');
  socket.end(1000);
  assert.equal(await reading, `retry: 1000\n\n${COMPLETE}`);
  assert.equal(socket.closed.length, 1);
});

test("a key that is refused is an error event", async () => {
  const { socket, reader } = open();
  const reading = rest(reader);
  socket.end(4403, "The key is not valid.");
  const [, event] = (await reading).split("\n\n");
  assert.deepEqual(JSON.parse(event.replace("event: next\ndata: ", "")), {
    errors: [{ message: "The key is not valid.", extensions: { code: "UNAUTHENTICATED" } }],
  });
  assert.ok((await reading).endsWith(COMPLETE));
});

test("a stream whose socket is lost fails without `complete`, so the client comes back", async () => {
  const { socket, reader } = open();
  const reading = assert.rejects(rest(reader), /shard restarts/);
  socket.end(1012, "shard restarts");
  await reading;
});

test("a ping is answered only when the client has taken what came before", async () => {
  const { socket, read } = open();
  socket.receive('{"id":"stream","type":"next","payload":{"data":1}}');
  socket.receive('{"type":"ping"}');
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(socket.sent.length, 2, "nothing was read yet");
  await read();
  await read();
  await new Promise((done) => setTimeout(done, 20));
  assert.deepEqual(socket.sent.slice(2), ['{"type":"pong"}']);
  socket.end(1000);
});

test("comments keep an idle stream alive, and end with it", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const { socket, read, reader } = open({ keepAliveMs: 10 });
  await read();
  context.mock.timers.tick(10);
  assert.equal(await read(), ":\n\n");
  socket.receive('{"id":"stream","type":"complete"}');
  context.mock.timers.tick(1_000);
  assert.equal(await rest(reader), COMPLETE);
});

test("a client that goes away closes the socket", async () => {
  const { socket, reader } = open();
  await reader.cancel("gone");
  await new Promise((done) => setTimeout(done, 0));
  assert.deepEqual(socket.closed, [[1000, "Stream ended"]]);
});
