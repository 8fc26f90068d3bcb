// One shard of the tracker: accepts sockets, and performs what Python decides about their messages.

import { runTask, join, newExecution } from "../resolvers/runtime/commands.mjs";
import { excessOf, isLonger } from "../resolvers/runtime/json_text.mjs";
import { Alarm } from "./alarm.mjs";
import { Pump } from "./dispatcher.mjs";
import { limits, python } from "./python.mjs";
import { CODES, EXPIRED, Sockets } from "./connections.mjs";
import { Storage, stateOf, stateText } from "./storage.mjs";

/** @typedef {import("./storage.mjs").State} State */

const SUBPROTOCOL = "graphql-transport-ws";
const UNREAD = "Messages were sent and not read (PONG_TIMEOUT_MS)";

export class Shard {
  #ctx;
  #storage;
  #sockets;
  #alarm;
  #pump;
  /** @type {WeakMap<WebSocket, number>} messages of sockets that were not let in yet */
  #received = new WeakMap();
  /** When this object was made: another one answers after an eviction. */
  #since = `${Date.now()}-${Math.random()}`;

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#ctx = ctx;
    this.#storage = new Storage(ctx);
    this.#sockets = new Sockets(ctx, this.#storage);
    this.#alarm = new Alarm(ctx.storage);
    this.#pump = new Pump(String(ctx.id.name), this.#storage, this.#sockets, this.#alarm);
    // The runtime answers this ping without waking the object. It takes one text: what graphql-ws
    // sends; other spellings are answered by Python.
    ctx.setWebSocketAutoResponse(
      new WebSocketRequestResponsePair('{"type":"ping"}', '{"type":"pong"}'),
    );
  }

  /**
   * Accept a socket.
   * @param {boolean} bound whether it came over a service binding, and needs no key
   */
  accept(bound) {
    const [client, server] = Object.values(new WebSocketPair());
    if (this.#sockets.count >= limits.sockets) {
      server.accept();
      server.close(CODES.tryAgainLater, "This shard has as many sockets as it takes (MAX_SOCKETS)");
    } else {
      const until = Date.now() + limits.initTimeoutMs;
      this.#sockets.accept(server, { until, bound, streams: new Map(), running: [] });
      this.#ctx.waitUntil(this.#alarm.by(until));
    }
    const headers = { "sec-websocket-protocol": SUBPROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /**
   * A message from a client.
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  message(socket, data) {
    if (!this.#sockets.has(socket)) return;
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
    const before = this.#sockets.state(socket);
    const problem = this.#problemOf(socket, data, before);
    const text = problem ? "" : /** @type {string} */ (data);
    /** @type {{ state?: any, actions: any[][] }} */
    const { state: written, actions } = JSON.parse(
      python.receive(stateText(before), text, problem),
    );
    const state = written && stateOf(written);
    for (const [kind, ...made] of actions) {
      if (kind === "follow") this.#storage.rememberFeed(made);
    }
    if (state) {
      state.pingedAt = before.pingedAt;
      if (!state.who) Object.assign(state, { until: before.until, bound: before.bound });
      this.#sockets.keep(socket, state);
      if (state.who?.exp && !before.who) this.#ctx.waitUntil(this.#alarm.by(state.who.exp * 1000));
    }
    for (const [kind, ...rest] of actions) {
      if (kind === "send") this.#answer(socket, rest[0]);
      else if (kind === "close") this.#sockets.close(socket, rest[0], rest[1]);
      else if (kind === "answered") this.#answered(socket);
      // What follows is not waited for: the socket's next message would be.
      else if (kind === "execute") {
        const operation = () => this.#execute(socket, rest[0], rest[1]);
        this.#ctx.waitUntil(this.#sockets.backlog(socket).execute(operation));
      } else this.#ctx.waitUntil(this.notify());
    }
  }

  /**
   * Answer a message at once, unless its client has long read nothing.
   * @param {WebSocket} socket
   * @param {string} text
   */
  #answer(socket, text) {
    if (this.#sockets.backlog(socket).isOverfull) {
      return this.#sockets.close(socket, CODES.tryAgainLater, UNREAD);
    }
    this.#sockets.send(socket, text);
    this.#pump.ping(socket);
  }

  /** @param {WebSocket} socket that has read what was sent */
  #answered(socket) {
    this.#sockets.pong(socket);
    // What was sent since the ping may be too much to send more.
    this.#pump.ping(socket);
    const { streams } = this.#sockets.state(socket);
    if ([...streams.values()].every(([, place]) => place === null)) return;
    this.#ctx.waitUntil(this.#pump.run());
  }

  /**
   * A socket was closed by its client, or is broken.
   * @param {WebSocket} socket
   * @param {number} [code]
   * @param {string} [reason]
   */
  closed(socket, code, reason) {
    this.#sockets.drop(socket);
    // Without an answer the client waits ten seconds for its close; 1005, 1006 and 1015 are no
    // codes to send.
    const answer = code === undefined || [1005, 1006, 1015].includes(code) ? 1000 : code;
    socket.close(answer, reason);
  }

  /**
   * Something was written, or somebody has come: look at the log, and once more in a while.
   * @param {import("../resolvers/runtime/notifications.mjs").Prefetched} [prefetched] what there is to see
   * @returns {Promise<import("../resolvers/runtime/notifications.mjs").Prefetch | undefined>}
   */
  async notify(prefetched) {
    await this.#alarm.by(Date.now() + limits.watchAgainMs);
    await ((prefetched && this.#pump.take(prefetched)) ?? this.#pump.run());
    return this.#pump.offer();
  }

  /** A time has come: of a socket, or to see whether a notify was lost. */
  async alarm() {
    this.#alarm.rings();
    const now = Date.now();
    let next = Infinity;
    for (const socket of this.#sockets.all()) {
      const { who, until = Infinity, pingedAt = Infinity } = this.#sockets.state(socket);
      const end = who ? (who.exp ?? Infinity) * 1000 : until;
      const answer = pingedAt + limits.pongTimeoutMs;
      if (end > now && answer > now) next = Math.min(next, end, answer);
      else if (end > now) this.#sockets.close(socket, CODES.tryAgainLater, UNREAD);
      else if (who) this.#sockets.close(socket, CODES.forbidden, EXPIRED);
      else this.#sockets.close(socket, CODES.initTimeout, "Connection initialisation timeout");
    }
    if (next < Infinity) await this.#alarm.by(next);
    await this.#pump.run();
    if (this.#pump.hasMoved()) await this.#alarm.by(now + limits.watchAgainMs);
  }

  /**
   * What should not have happened concerns the socket it happened to, and no other.
   * @param {WebSocket} socket
   * @param {unknown} error
   */
  #fail(socket, error) {
    console.error(`A socket is closed for an unexpected failure: ${error}`);
    this.#sockets.close(socket, CODES.internal, "Something went wrong here");
  }

  /** What the shard is at, for tests and operators. */
  status() {
    const subscriptions = Array.from(
      this.#sockets.all(),
      (socket) => this.#sockets.state(socket).streams.size,
    ).reduce((sum, count) => sum + count, 0);
    const { count: sockets, position } = this.#sockets;
    const { counts } = this.#pump;
    return JSON.stringify({ since: this.#since, sockets, subscriptions, position, ...counts });
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   * @param {string} payload
   */
  async #execute(socket, id, payload) {
    if (!this.#sockets.has(socket)) return;
    const who = JSON.stringify(this.#sockets.state(socket).who);
    const execution = newExecution();
    const begin = (/** @type {string} */ failure) => python.execute(who, id, payload, failure);
    /** @type {(string | number)[][]} */
    let frames;
    try {
      frames = await runTask({ begin, resume: python.resume }, execution);
    } catch (error) {
      return this.#fail(socket, error);
    }
    // The client may have ended the operation meanwhile, or gone.
    if (!this.#sockets.has(socket)) return;
    const state = this.#sockets.state(socket);
    if (!state.running.includes(id)) return;
    state.running = state.running.filter((running) => running !== id);
    for (const frame of frames) this.#sockets.send(socket, join(frame, execution.texts));
    this.#pump.ping(socket);
  }

  /**
   * Say why a message is not handed to Python (see `parse` in frames.py); "" where it is.
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   * @param {State} state
   */
  #problemOf(socket, data, { who }) {
    if (typeof data !== "string") return "BINARY";
    if (isLonger(data, who ? limits.frameBytes : limits.initFrameBytes)) return "TOO_LARGE";
    if (!who) {
      // Before there is a key, little is looked at.
      const received = (this.#received.get(socket) ?? 0) + 1;
      this.#received.set(socket, received);
      if (received > limits.initFrames) return "TOO_MANY";
    }
    return excessOf(data, limits.json);
  }
}
