// The way to the tracker's shards for WebSockets: clients' own, and those behind event streams.

import { env as bindings } from "cloudflare:workers";

/** @type {Record<string, any>} */
const env = bindings;

const SUBPROTOCOL = "graphql-transport-ws";
const SUBPROTOCOL_NOT_ACCEPTABLE = 4406;

/**
 * Hand a client's upgrade to a shard. A client that does not speak the protocol is told so by a
 * close code, and wakes no shard.
 * @param {Request} request
 * @returns {Promise<Response>}
 */
export async function connect(request) {
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",");
  if (offered.some((name) => name.trim() === SUBPROTOCOL)) return shard().fetch(request);
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.close(SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable");
  return new Response(null, { status: 101, webSocket: client });
}

/**
 * A socket of this Worker's own to a shard, accepted.
 * @returns {Promise<WebSocket>}
 */
export async function openSocket() {
  const headers = { upgrade: "websocket", "sec-websocket-protocol": SUBPROTOCOL };
  const { webSocket } = await shard().fetch("https://tracker/graphql", { headers });
  webSocket.accept();
  return webSocket;
}

/** Any of the shards: which one serves a socket makes no difference to it. */
function shard() {
  const shards = Math.max(1, Math.floor(Number(env.TRACKER_SHARDS)) || 1);
  const name = `shard-${Math.floor(Math.random() * shards)}`;
  return env.TRACKER.get(env.TRACKER.idFromName(name));
}
