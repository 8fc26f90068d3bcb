// Runs clients of npm `graphql-ws` and `graphql-sse` for a test, which drives them by lines of
// JSON on standard input and is told of everything that they receive, a line of JSON each.
//
// In:  {"do": "open", "client": "c", "url": "ws://…", "key": "…", "keepAlive": 0}
//      {"do": "subscribe", "client": "c", "id": "s", "payload": {…}, "resume": true}
//      {"do": "complete", "id": "s"}
//      {"do": "drop", "client": "c"}      breaks the connection, without a word to the server
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

/** @param {object} what */
const tell = (what) => console.log(JSON.stringify(what));

/**
 * What a subscription tells of; `payload` is sent again where the client reconnects.
 * @param {Order} order
 */
function sink({ id, payload, resume }) {
  return {
    next: (/** @type {any} */ result) => {
      const cursor = result.extensions?.cursor;
      // The way to resume: the client sends this object again when it has reconnected.
      if (resume && cursor) payload.extensions = { after: cursor };
      tell({ id, happened: "next", payload: result });
    },
    error: (/** @type {any} */ error) => {
      const { code, reason, message } = error;
      tell({
        id,
        happened: "error",
        payload: Array.isArray(error) ? error : { code, reason, message },
      });
    },
    complete: () => tell({ id, happened: "complete" }),
  };
}

/** @type {Record<string, (order: Order) => void>} */
const orders = {
  open: ({ client, url, key, keepAlive = 0 }) => {
    const opened = createClient({
      url,
      // A test has the connection from the start, and until it drops it.
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
      tell({ client, happened: "opened" });
    });
    opened.on("connected", () => tell({ client, happened: "connected" }));
    opened.on("ping", (received) => tell({ client, happened: "ping", received }));
    opened.on("pong", (received) => tell({ client, happened: "pong", received }));
    opened.on("closed", (event) => {
      const { code, reason } = /** @type {{ code: number, reason: string }} */ (event);
      tell({ client, happened: "closed", code, reason });
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
