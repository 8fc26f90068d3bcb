// Runs clients of npm `graphql-ws` and `graphql-sse` for a test, which drives them by lines of
// JSON on standard input and reads everything that they receive as lines of JSON.
//
// In:  {"do": "open", "client": "c", "url": "ws://…", "key": "…", "keepAlive": 0}
//      {"do": "subscribe", "client": "c", "id": "s", "payload": {…}, "resume": true}
//      {"do": "complete", "id": "s"}
//      {"do": "drop", "client": "c"}      breaks the connection without a close frame
//      {"do": "stream", "id": "s", "url": "http://…", "key": "…", "payload": {…}}
// Out: {"client": "c", "happened": "opened" | "connected" | "ping" | "pong" | "closed", …}
//      {"id": "s", "happened": "next" | "error" | "complete", "payload": …}
//
// It ends with standard input.

import { createInterface } from "node:readline";
import { createClient as createStream } from "graphql-sse";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

/** @typedef {Record<string, any>} Order */

const RETRY_MS = 50;

/** @type {Map<string, import("graphql-ws").Client>} */
const clients = new Map();
/** @type {Map<string, WebSocket>} the open connection of each client */
const connections = new Map();
/** @type {Map<string, () => void>} ends each subscription */
const endings = new Map();

/** @param {object} message */
const report = (message) => console.log(JSON.stringify(message));

/**
 * Reports the results of a subscription; `payload` is sent again when the client reconnects.
 * @param {Order} order
 */
function sink({ id, payload, resume }) {
  return {
    next: (/** @type {any} */ result) => {
      const cursor = result.extensions?.cursor;
      // The way to resume: the client sends this object again when it has reconnected.
      if (resume && cursor) payload.extensions = { after: cursor };
      report({ id, happened: "next", payload: result });
    },
    error: (/** @type {any} */ error) => {
      const { code, reason, message } = error;
      report({
        id,
        happened: "error",
        payload: Array.isArray(error) ? error : { code, reason, message },
      });
    },
    complete: () => report({ id, happened: "complete" }),
  };
}

/** @type {Record<string, (order: Order) => void>} */
const orders = {
  open: ({ client, url, key, keepAlive = 0 }) => {
    const opened = createClient({
      url,
      // The connection is open from the start, until the test drops it.
      lazy: false,
      keepAlive,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: Infinity,
      retryWait: () => new Promise((done) => setTimeout(done, RETRY_MS)),
      shouldRetry: () => true,
    });
    opened.on("opened", (socket) => {
      connections.set(client, /** @type {WebSocket} */ (socket));
      report({ client, happened: "opened" });
    });
    opened.on("connected", () => report({ client, happened: "connected" }));
    opened.on("ping", (received) => report({ client, happened: "ping", received }));
    opened.on("pong", (received) => report({ client, happened: "pong", received }));
    opened.on("closed", (event) => {
      const { code, reason } = /** @type {{ code: number, reason: string }} */ (event);
      report({ client, happened: "closed", code, reason });
    });
    clients.set(client, opened);
  },
  subscribe: (order) => {
    const client = /** @type {import("graphql-ws").Client} */ (clients.get(order.client));
    endings.set(order.id, client.subscribe(order.payload, sink(order)));
  },
  stream: (order) => {
    const client = createStream({
      url: order.url,
      headers: { authorization: `Bearer ${order.key}` },
      retryAttempts: 0,
    });
    endings.set(order.id, client.subscribe(order.payload, sink(order)));
  },
  complete: ({ id }) => endings.get(id)?.(),
  drop: ({ client }) => connections.get(client)?.terminate(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  orders[order.do](order);
}
process.exit(0);
