// The floor of a fan-out: a Durable Object that sends a given text to each of its sockets, without
// GraphQL, filters or a database.

/** @typedef {import("@cloudflare/workers-types").DurableObjectNamespace} Namespace */
/** @typedef {import("@cloudflare/workers-types").DurableObjectState} State */
/** @typedef {import("@cloudflare/workers-types").WebSocket} Socket */

/** Close codes that the runtime reports, but that must not be sent. */
const RESERVED_CODES = new Set([1005, 1006, 1015]);

export class Hub {
  /** @param {State} ctx */
  constructor(ctx) {
    this.ctx = ctx;
  }

  /** @param {Request} request */
  async fetch(request) {
    if (request.method === "POST") {
      const text = await request.text();
      for (const socket of this.ctx.getWebSockets()) socket.send(text);
      return new Response("published");
    }
    const { 0: client, 1: server } = new /** @type {any} */ (globalThis).WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, /** @type {any} */ ({ status: 101, webSocket: client }));
  }

  /**
   * @param {Socket} socket
   * @param {number} code
   * @param {string} reason
   */
  webSocketClose(socket, code, reason) {
    socket.close(RESERVED_CODES.has(code) ? 1000 : code, reason);
  }
}

export default {
  /**
   * @param {Request} request
   * @param {{ HUB: Namespace, FLOWFLARE_API_KEY: string }} env
   */
  fetch(request, env) {
    if (request.headers.get("authorization") !== `Bearer ${env.FLOWFLARE_API_KEY}`) {
      return new Response(null, { status: 401 });
    }
    return env.HUB.get(env.HUB.idFromName("all")).fetch(/** @type {any} */ (request));
  },
};
