// The way to the tracker's shards for WebSockets: clients' own, and those behind event streams.

import { env as bindings } from "cloudflare:workers";

/** @type {Record<string, any>} */
const env = bindings;

const SUBPROTOCOL = "graphql-transport-ws";
const SUBPROTOCOL_NOT_ACCEPTABLE = 4406; // CloseCode in frames.py

// The addresses at which a shard accepts a socket: at `bound` it needs no key. The Worker chooses the
// address by the entrypoint; nothing that a client sends does. tracker_do/tracker.py compares it.
const OPEN = "https://tracker/graphql";
const BOUND = "https://tracker/bound";

/**
 * Hand a client's upgrade to a shard. A client that does not offer the protocol gets a
 * close code, and wakes no shard.
 * @param {Request} request
 * @param {boolean} bound true if it needs no key
 * @returns {Promise<Response>}
 */
export async function connect(request, bound) {
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",");
  if (offered.some((name) => name.trim() === SUBPROTOCOL)) return ask(bound);
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.close(SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable");
  return new Response(null, { status: 101, webSocket: client });
}

/**
 * A socket of this Worker's own to a shard, accepted.
 * @param {boolean} bound true if it needs no key
 * @returns {Promise<WebSocket>}
 */
export async function openSocket(bound) {
  const { webSocket } = await ask(bound);
  webSocket.accept();
  return webSocket;
}

/** @param {boolean} bound */
function ask(bound) {
  const headers = { upgrade: "websocket", "sec-websocket-protocol": SUBPROTOCOL };
  return shard().fetch(bound ? BOUND : OPEN, { headers });
}

/** Any of the shards: which one serves a socket makes no difference to it. */
function shard() {
  const shards = Math.max(1, Math.floor(Number(env.TRACKER_SHARDS)) || 1);
  const name = `shard-${Math.floor(Math.random() * shards)}`;
  return env.TRACKER.get(env.TRACKER.idFromName(name));
}
