// One shard of the tracker: accepts sockets, and performs the actions that Python decides on.

import { runTask, join, newExecution } from "../resolvers/runtime/commands.mjs";
import { excessOf, isLonger } from "../resolvers/runtime/json_text.mjs";
import { Alarm } from "./alarm.mjs";
import { expiryOf, stateOf, stateText } from "./connection_state.mjs";
import { Connections } from "./connections.mjs";
import { Dispatcher } from "./dispatcher.mjs";
import { closes, limits, python } from "./python.mjs";
import { Storage } from "./storage.mjs";

/** @typedef {import("./connection_state.mjs").ConnectionState} ConnectionState */

const SUBPROTOCOL = "graphql-transport-ws";

export class Shard {
  #ctx;
  #storage;
  #connections;
  #alarm;
  #dispatcher;
  /** @type {WeakMap<WebSocket, number>} messages received before connection_init */
  #received = new WeakMap();
  /** Identifies this object: after an eviction another one answers. */
  #since = `${Date.now()}-${Math.random()}`;

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#ctx = ctx;
    this.#storage = new Storage(ctx);
    this.#alarm = new Alarm(ctx.storage);
    this.#connections = new Connections(ctx, this.#storage, this.#alarm);
    const name = String(ctx.id.name);
    this.#dispatcher = new Dispatcher(name, this.#storage, this.#connections, this.#alarm);
    // The runtime answers this text without waking the object. It is the ping of graphql-ws; Python
    // answers others.
    ctx.setWebSocketAutoResponse(
      new WebSocketRequestResponsePair('{"type":"ping"}', '{"type":"pong"}'),
    );
  }

  /**
   * Accept a socket.
   * @param {boolean} isBound true if it came over a service binding, and needs no key
   */
  accept(isBound) {
    const [client, server] = Object.values(new WebSocketPair());
    if (this.#connections.count >= limits.sockets) {
      server.accept();
      server.close(...closes.shardFull);
    } else {
      const initDeadline = Date.now() + limits.initTimeoutMs;
      const subscriptions = new Map();
      this.#connections.accept(server, { initDeadline, isBound, subscriptions, running: [] });
      this.#ctx.waitUntil(this.#alarm.schedule(initDeadline));
    }
    const headers = { "sec-websocket-protocol": SUBPROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /**
   * Handle a message from a client.
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  onMessage(socket, data) {
    if (!this.#connections.has(socket)) return;
    try {
      this.#receive(socket, data);
    } catch (error) {
      this.#fail(socket, error);
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  #receive(socket, data) {
    const before = this.#connections.state(socket);
    const problem = this.#problemOf(socket, data, before);
    const text = problem ? "" : /** @type {string} */ (data);
    /** @type {{ state?: any, actions: any[][] }} */
    const { state: written, actions } = JSON.parse(
      python.receive(stateText(before), text, problem),
    );
    const state = written && stateOf(written);
    for (const [kind, ...made] of actions) {
      if (kind === "subscribe") this.#storage.storeDefinition(made);
    }
    if (state) {
      state.pingedAt = before.pingedAt;
      if (!state.principal) {
        state.initDeadline = before.initDeadline;
        state.isBound = before.isBound;
      }
      this.#connections.update(socket, state);
      const expiry = expiryOf(state);
      if (expiry < Infinity && !before.principal) this.#ctx.waitUntil(this.#alarm.schedule(expiry));
    }
    for (const [kind, ...rest] of actions) {
      if (kind === "send") this.#answer(socket, rest[0]);
      else if (kind === "close") this.#connections.close(socket, [rest[0], rest[1]]);
      else if (kind === "pong") this.#onPong(socket);
      // Not awaited, because the socket's next message would have to wait, too.
      else if (kind === "execute") {
        const operation = () => this.#execute(socket, rest[0], rest[1]);
        this.#ctx.waitUntil(this.#connections.backlog(socket).execute(operation));
      } else this.#ctx.waitUntil(this.notify());
    }
  }

  /**
   * Send an immediate answer, unless the client has left too much unread.
   * @param {WebSocket} socket
   * @param {string} text
   */
  #answer(socket, text) {
    if (this.#connections.backlog(socket).isOverfull) {
      return this.#connections.close(socket, closes.unread);
    }
    this.#connections.send(socket, text);
    this.#connections.ping(socket);
  }

  /** @param {WebSocket} socket whose client has read what was sent before the ping */
  #onPong(socket) {
    this.#connections.pong(socket);
    // Enough may have been sent since the last ping for another one.
    this.#connections.ping(socket);
    const { subscriptions } = this.#connections.state(socket);
    if ([...subscriptions.values()].every(([, position]) => position === null)) return;
    this.#ctx.waitUntil(this.#dispatcher.run());
  }

  /**
   * Handle a socket that was closed by its client, or has failed.
   * @param {WebSocket} socket
   * @param {number} [code]
   * @param {string} [reason]
   */
  onClose(socket, code, reason) {
    this.#connections.drop(socket);
    // Without an answer, the client waits ten seconds for its close. 1005, 1006 and 1015 must
    // not be sent.
    const answer = code === undefined || [1005, 1006, 1015].includes(code) ? 1000 : code;
    socket.close(answer, reason);
  }

  /**
   * Poll because the log has grown or there is a new subscriber, and again later.
   * @param {import("../resolvers/runtime/notifications.mjs").Prefetched} [prefetched]
   * @returns {Promise<import("../resolvers/runtime/notifications.mjs").Prefetch | undefined>}
   */
  async notify(prefetched) {
    await this.#alarm.schedule(Date.now() + limits.pollAgainMs);
    await ((prefetched && this.#dispatcher.deliverPrefetched(prefetched)) ??
      this.#dispatcher.run());
    return this.#dispatcher.prefetch();
  }

  /** Close the sockets whose time is up, and poll in case a notification was lost. */
  async onAlarm() {
    this.#alarm.fired();
    const now = Date.now();
    let next = Infinity;
    for (const socket of this.#connections.all()) {
      const state = this.#connections.state(socket);
      const { principal, initDeadline = Infinity, pingedAt = Infinity } = state;
      const end = principal ? expiryOf(state) : initDeadline;
      const pongDeadline = pingedAt + limits.pongTimeoutMs;
      if (end > now && pongDeadline > now) next = Math.min(next, end, pongDeadline);
      else if (end > now) this.#connections.close(socket, closes.unread);
      else if (principal) this.#connections.close(socket, closes.tokenExpired);
      else this.#connections.close(socket, closes.initTimeout);
    }
    if (next < Infinity) await this.#alarm.schedule(next);
    await this.#dispatcher.run();
    if (this.#dispatcher.hasAdvanced()) await this.#alarm.schedule(now + limits.pollAgainMs);
  }

  /**
   * Close a socket for an unexpected failure, which concerns no other.
   * @param {WebSocket} socket
   * @param {unknown} error
   */
  #fail(socket, error) {
    console.error(`A socket is closed for an unexpected failure: ${error}`);
    this.#connections.close(socket, closes.unexpected);
  }

  /** The shard's status as JSON text, for tests and operators. */
  status() {
    const subscriptions = Array.from(
      this.#connections.all(),
      (socket) => this.#connections.state(socket).subscriptions.size,
    ).reduce((sum, count) => sum + count, 0);
    const { count: sockets, livePosition: position } = this.#connections;
    const { counts } = this.#dispatcher;
    return JSON.stringify({ since: this.#since, sockets, subscriptions, position, ...counts });
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   * @param {string} payload
   */
  async #execute(socket, id, payload) {
    if (!this.#connections.has(socket)) return;
    const principal = JSON.stringify(this.#connections.state(socket).principal);
    const execution = newExecution();
    const begin = (/** @type {string} */ failure) =>
      python.execute(principal, id, payload, failure);
    /** @type {(string | number)[][]} */
    let frames;
    try {
      frames = await runTask({ begin, resume: python.resume }, execution);
    } catch (error) {
      return this.#fail(socket, error);
    }
    // The client may have completed the operation or closed the socket meanwhile.
    if (!this.#connections.has(socket)) return;
    const state = this.#connections.state(socket);
    if (!state.running.includes(id)) return;
    state.running = state.running.filter((running) => running !== id);
    for (const frame of frames) this.#connections.send(socket, join(frame, execution.texts));
    this.#connections.ping(socket);
  }

  /**
   * Name the problem of a message that must not reach Python (see `parse` in frames.py), or "".
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   * @param {ConnectionState} state
   */
  #problemOf(socket, data, { principal }) {
    if (typeof data !== "string") return "BINARY";
    if (isLonger(data, principal ? limits.frameBytes : limits.initFrameBytes)) return "TOO_LARGE";
    if (!principal) {
      // Without a key a client may cause little work.
      const received = (this.#received.get(socket) ?? 0) + 1;
      this.#received.set(socket, received);
      if (received > limits.initFrames) return "TOO_MANY";
    }
    return excessOf(data, limits.json);
  }
}
