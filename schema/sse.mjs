// GraphQL over server-sent events, the "distinct connections mode" of graphql-sse: one stream for each
// operation. The stream reads from a socket to the tracker, so the tracker hibernates while nothing
// happens, however many streams are open.

const ENCODER = new TextEncoder();
const OPERATION = "stream";
// The tracker's text around a result: the prefix in subscribers.mjs and the end in delivery.mjs, or
// `next_` in frames.py. Comparing it saves parsing the result.
const NEXT = `{"id":"${OPERATION}","type":"next","payload":`;
const CURSOR = /"extensions":\{"cursor":"(\d+)"\}\}\}$/;
const LINE_END = /\r\n|\r|\n/g;
const COMPLETE = "event: complete\ndata:\n\n";
const FORBIDDEN = 4403; // CloseCode in frames.py

/**
 * The events of one subscription.
 * @param {WebSocket} socket to a shard of the tracker, accepted
 * @param {string} authorization the header of the request
 * @param {string} payload of the subscribe message, JSON text
 * @param {number} keepAliveMs between comments, which keep proxies from ending the stream
 * @returns {ReadableStream<Uint8Array>}
 */
export function streamEvents(socket, authorization, payload, keepAliveMs) {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  /** @type {ReturnType<typeof setInterval>} */
  let keepAlive;
  let hasEnded = false;
  const end = (/** @type {string} */ reason = "") => {
    // The socket's own close follows.
    if (hasEnded) return;
    hasEnded = true;
    clearInterval(keepAlive);
    socket.close(1000, "Stream ended");
    (reason ? writer.abort(reason) : writer.close()).catch(() => {});
  };
  const write = (/** @type {string} */ text) => {
    writer.write(ENCODER.encode(text)).catch(() => end("client gone"));
  };
  // A client that has gone away is noticed here, or with the next thing that is written.
  writer.closed.catch(() => end("client gone"));
  socket.addEventListener("message", ({ data }) => {
    const text = String(data);
    if (text.startsWith(NEXT)) {
      const cursor = CURSOR.exec(text.slice(-80))?.[1];
      return write(next(text.slice(NEXT.length, -1), cursor));
    }
    const message = JSON.parse(text);
    if (message.type === "ping") {
      // Answered when the client has taken what came before: replays wait for it.
      writer.ready.then(() => socket.send('{"type":"pong"}')).catch(() => {});
    }
    if (message.type === "error") write(next(JSON.stringify({ errors: message.payload })));
    if (message.type === "error" || message.type === "complete") {
      write(COMPLETE);
      end();
    }
  });
  socket.addEventListener("close", ({ code, reason }) => {
    if (code === FORBIDDEN) {
      const error = { message: reason, extensions: { code: "UNAUTHENTICATED" } };
      write(next(JSON.stringify({ errors: [error] })) + COMPLETE);
      end();
    } else {
      // Without `complete`: the client knows that it has to come back.
      end(reason || "connection to the tracker lost");
    }
  });
  write("retry: 1000\n\n");
  keepAlive = setInterval(() => write(":\n\n"), keepAliveMs);
  socket.send(JSON.stringify({ type: "connection_init", payload: { authorization } }));
  socket.send(`{"id":"${OPERATION}","type":"subscribe","payload":${payload}}`);
  return readable;
}

/**
 * The events of an operation that has one result.
 * @param {string} result JSON text
 */
export const eventsOf = (result) => next(result) + COMPLETE;

/**
 * @param {string} result JSON text; D1 may hold JSON that somebody wrote over several lines
 * @param {string} [cursor]
 */
function next(result, cursor) {
  const data = result.replace(LINE_END, "\ndata: ");
  return `${cursor ? `id: ${cursor}\n` : ""}event: next\ndata: ${data}\n\n`;
}
