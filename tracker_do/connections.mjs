// The connections of a shard: their sockets and states, and the sending of messages.

import { Backlog } from "./backlog.mjs";
import { expiryOf } from "./connection_state.mjs";
import { LivePosition } from "./live_position.mjs";
import { closes, limits } from "./python.mjs";
import { restoreSubscribers } from "./restoring.mjs";

const PING = '{"type":"ping"}';

/** @typedef {import("./connection_state.mjs").ConnectionState} ConnectionState */

export class Connections {
  #ctx;
  #storage;
  #alarm;
  #count;
  /** @type {Map<WebSocket, ConnectionState>} as far as they were read since the object woke */
  #states = new Map();
  /** @type {WeakMap<WebSocket, Backlog>} */
  #backlogs = new WeakMap();
  /** @type {WeakSet<WebSocket>} */
  #dropped = new WeakSet();
  /** @type {import("./subscribers.mjs").Subscribers | undefined} restored when first needed */
  #subscribers;
  #livePosition = new LivePosition();

  /**
   * @param {DurableObjectState} ctx
   * @param {import("./storage.mjs").Storage} storage
   * @param {import("./alarm.mjs").Alarm} alarm
   */
  constructor(ctx, storage, alarm) {
    this.#ctx = ctx;
    this.#storage = storage;
    this.#alarm = alarm;
    this.#count = ctx.getWebSockets().length;
  }

  get count() {
    return this.#count;
  }

  /** The sockets that are open. */
  *all() {
    for (const socket of this.#ctx.getWebSockets()) {
      if (!this.#dropped.has(socket)) yield socket;
    }
  }

  /**
   * Add a new socket.
   * @param {WebSocket} socket
   * @param {ConnectionState} state
   */
  accept(socket, state) {
    this.#ctx.acceptWebSocket(socket);
    this.#count += 1;
    this.update(socket, state);
  }

  /**
   * True if the socket is open. Messages after a close are ignored.
   * @param {WebSocket} socket
   */
  has(socket) {
    return !this.#dropped.has(socket);
  }

  /**
   * The state of a connection.
   * @param {WebSocket} socket
   * @returns {ConnectionState}
   */
  state(socket) {
    const known = this.#states.get(socket);
    if (known) return known;
    const { state, position } = this.#storage.load(socket);
    this.#states.set(socket, state);
    if (position !== undefined) this.#livePosition.restore(socket, position);
    return state;
  }

  /**
   * Set the state of a connection, and add and remove subscribers accordingly.
   * @param {WebSocket} socket
   * @param {ConnectionState} state
   */
  update(socket, state) {
    const before = this.#states.get(socket)?.subscriptions;
    this.#states.set(socket, state);
    for (const id of before?.keys() ?? []) {
      if (!state.subscriptions.has(id)) this.#removeSubscriber(socket, id);
    }
    const known = { expiresAt: expiryOf(state), backlog: this.backlog(socket) };
    for (const [id, [plan, position]] of state.subscriptions) {
      if (!before?.has(id)) this.#subscribers?.add(socket, id, plan, position, known);
    }
    this.save(socket);
  }

  /**
   * Save the state of a connection so that it survives eviction.
   * @param {WebSocket} socket
   */
  save(socket) {
    this.#storage.save(socket, this.state(socket), this.#livePosition.keptBy(socket));
  }

  /** The subscribers of all connections. */
  get subscribers() {
    if (!this.#subscribers) {
      this.#readStates();
      this.#subscribers = restoreSubscribers(this, this.#livePosition.value, this.#storage);
    }
    return this.#subscribers;
  }

  /** The position of the live subscribers; it has no meaning if there are none. */
  get livePosition() {
    if (!this.#subscribers) void this.subscribers;
    return this.#livePosition.value ?? 0;
  }

  /**
   * Advance the live position; to be called before texts up to it are sent.
   * @param {number} position
   */
  advance(position) {
    for (const socket of this.#livePosition.advance(position, this.all())) this.save(socket);
  }

  /**
   * The backlog of a connection.
   * @param {WebSocket} socket
   */
  backlog(socket) {
    let backlog = this.#backlogs.get(socket);
    if (!backlog) {
      backlog = new Backlog(this.state(socket).pingedAt);
      this.#backlogs.set(socket, backlog);
    }
    return backlog;
  }

  /**
   * Send a ping if the backlog is large, and have the alarm check that it was answered.
   * @param {WebSocket} socket
   */
  ping(socket) {
    if (!this.has(socket)) return;
    const backlog = this.backlog(socket);
    if (!backlog.isPingDue) return;
    backlog.ping();
    this.state(socket).pingedAt = backlog.pingedAt;
    this.save(socket);
    this.sendCounted(socket, PING);
    void this.#alarm.schedule(Date.now() + limits.pongTimeoutMs);
  }

  /**
   * Note a pong of the client.
   * @param {WebSocket} socket
   */
  pong(socket) {
    if (!this.backlog(socket).pong()) return;
    this.state(socket).pingedAt = undefined;
    this.save(socket);
  }

  /**
   * Send a text. If that fails, the socket is closed.
   * @param {WebSocket} socket
   * @param {string} text
   */
  send(socket, text) {
    this.backlog(socket).add(text.length);
    this.sendCounted(socket, text);
  }

  /**
   * Send a text without adding it to the backlog.
   * @param {WebSocket} socket
   * @param {string} text
   */
  sendCounted(socket, text) {
    try {
      socket.send(text);
    } catch {
      this.close(socket, closes.sendFailed);
    }
  }

  /**
   * Close a socket with a code and a reason, and forget it.
   * @param {WebSocket} socket
   * @param {import("./python.mjs").Close} close
   */
  close(socket, [code, reason]) {
    if (this.#dropped.has(socket)) return;
    this.drop(socket);
    socket.close(code, reason);
  }

  /**
   * Forget a socket that either side has closed.
   * @param {WebSocket} socket
   */
  drop(socket) {
    if (this.#dropped.has(socket)) return;
    for (const id of this.state(socket).subscriptions.keys()) this.#removeSubscriber(socket, id);
    this.backlog(socket).close();
    this.#dropped.add(socket);
    this.#states.delete(socket);
    this.#storage.discard(socket);
    this.#count -= 1;
    if (!this.#livePosition.forget(socket)) return;
    // Other sockets may keep the position, too, in attachments that were not read yet.
    this.#readStates();
    this.advance(this.#livePosition.value ?? 0);
  }

  #readStates() {
    for (const socket of this.all()) this.state(socket);
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   */
  #removeSubscriber(socket, id) {
    const plan = this.#subscribers?.remove(socket, id);
    if (plan) this.#storage.deleteDefinition(plan);
  }
}
