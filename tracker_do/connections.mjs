// The sockets of a shard, with what is known of each.

import { Backlog } from "./backlog.mjs";
import { Members } from "./subscribers.mjs";
import { python } from "./python.mjs";

/** The codes of frames.py that are decided on this side. */
export const CODES = {
  internal: 1011,
  restart: 1012,
  tryAgainLater: 1013,
  forbidden: 4403,
  initTimeout: 4408,
};
export const EXPIRED = "The token has expired.";
const PING = '{"type":"ping"}';

/** @typedef {import("./storage.mjs").State} State */

/** How many sockets keep the shard's position: one may be lost without a word. */
const KEEPERS = 3;

export class Sockets {
  #ctx;
  #storage;
  #count;
  /** @type {Map<WebSocket, State>} those looked at since the object woke */
  #states = new Map();
  /** @type {WeakMap<WebSocket, Backlog>} */
  #backlogs = new WeakMap();
  /** @type {WeakSet<WebSocket>} */
  #dropped = new WeakSet();
  /** @type {Members | undefined} made when it is first needed */
  #members;
  /** @type {number | undefined} */
  #position;
  /**
   * The position is in the attachments of some sockets: like these it outlives the object's
   * eviction, is lost with the last socket, and does not keep messages waiting for a disk.
   * @type {Set<WebSocket>}
   */
  #keepers = new Set();

  /**
   * @param {DurableObjectState} ctx
   * @param {import("./storage.mjs").Storage} storage
   */
  constructor(ctx, storage) {
    this.#ctx = ctx;
    this.#storage = storage;
    this.#count = ctx.getWebSockets().length;
  }

  get count() {
    return this.#count;
  }

  /** All that are open. */
  *all() {
    for (const socket of this.#ctx.getWebSockets()) {
      if (!this.#dropped.has(socket)) yield socket;
    }
  }

  /**
   * A socket is new.
   * @param {WebSocket} socket
   * @param {State} state
   */
  accept(socket, state) {
    this.#ctx.acceptWebSocket(socket);
    this.#count += 1;
    this.keep(socket, state);
  }

  /**
   * Whether the socket is one of the shard's still: what it sends after a close is ignored.
   * @param {WebSocket} socket
   */
  has(socket) {
    return !this.#dropped.has(socket);
  }

  /**
   * @param {WebSocket} socket
   * @returns {State}
   */
  state(socket) {
    const known = this.#states.get(socket);
    if (known) return known;
    const { state, position } = this.#storage.load(socket);
    this.#states.set(socket, state);
    if (position !== undefined) {
      this.#keepers.add(socket);
      this.#position = Math.max(position, this.#position ?? 0);
    }
    return state;
  }

  /**
   * @param {WebSocket} socket
   * @param {State} state
   */
  keep(socket, state) {
    const before = this.#states.get(socket);
    this.#states.set(socket, state);
    for (const id of before?.streams.keys() ?? []) {
      if (!state.streams.has(id)) this.#leave(socket, id);
    }
    for (const [id, [feed, place]] of state.streams) {
      if (before?.streams.has(id)) continue;
      this.#members?.add(socket, id, feed, place, this.#known(socket, state));
    }
    this.save(socket);
  }

  /**
   * What the socket has not read.
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
   * Ask a socket with a ping how far it has read, if it has much to read.
   * @param {WebSocket} socket
   * @returns {boolean} true if it was asked
   */
  ping(socket) {
    if (!this.has(socket)) return false;
    const backlog = this.backlog(socket);
    if (!backlog.isPingDue) return false;
    backlog.ping();
    this.state(socket).pingedAt = backlog.pingedAt;
    this.save(socket);
    this.put(socket, PING);
    return true;
  }

  /**
   * A socket has sent a pong.
   * @param {WebSocket} socket
   */
  pong(socket) {
    if (!this.backlog(socket).pong()) return;
    this.state(socket).pingedAt = undefined;
    this.save(socket);
  }

  /**
   * What has changed in a socket's state is to outlive eviction.
   * @param {WebSocket} socket
   */
  save(socket) {
    const position = this.#keepers.has(socket) ? this.#position : undefined;
    this.#storage.save(socket, this.state(socket), position);
  }

  /** Where the live subscribers stand in the log; means nothing while there are none. */
  get position() {
    this.members();
    return this.#position ?? 0;
  }

  /**
   * The live subscribers go on to a position: to be called before anything that follows is sent.
   * @param {number} position
   */
  advance(position) {
    if (position === this.#position && this.#keepers.size > 0) return;
    this.#position = position;
    if (this.#keepers.size < KEEPERS) {
      for (const socket of this.all()) {
        if (this.#keepers.add(socket).size === KEEPERS) break;
      }
    }
    for (const socket of this.#keepers) this.save(socket);
  }

  /**
   * A socket that cannot be sent to is closed, and the others go on.
   * @param {WebSocket} socket
   * @param {string} text
   */
  send(socket, text) {
    this.backlog(socket).add(text.length);
    this.put(socket, text);
  }

  /**
   * Send what its backlog has been told of.
   * @param {WebSocket} socket
   * @param {string} text
   */
  put(socket, text) {
    try {
      socket.send(text);
    } catch {
      this.close(socket, CODES.internal, "The socket took no more messages");
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   * @param {string} reason
   */
  close(socket, code, reason) {
    if (this.#dropped.has(socket)) return;
    this.drop(socket);
    socket.close(code, reason);
  }

  /**
   * Forget a socket that is closed, by either side: the other's close follows.
   * @param {WebSocket} socket
   */
  drop(socket) {
    if (this.#dropped.has(socket)) return;
    for (const id of this.state(socket).streams.keys()) this.#leave(socket, id);
    this.backlog(socket).close();
    this.#dropped.add(socket);
    this.#states.delete(socket);
    this.#storage.discard(socket);
    this.#count -= 1;
    if (this.#keepers.delete(socket) && this.#keepers.size === 0) this.advance(this.position);
  }

  /** All subscriptions, from the sockets' attachments where the object has just woken. */
  members() {
    if (this.#members) return this.#members;
    this.#members = new Members();
    for (const socket of this.all()) {
      const state = this.state(socket);
      for (const [id, [feed, place]] of state.streams) {
        this.#members.add(socket, id, feed, place, this.#known(socket, state));
      }
    }
    if (this.#position === undefined) this.#refuseLost();
    this.#refuseUnwelcome();
    this.#storage.keepFeeds(this.#members.feeds());
    this.#storage.keepLoaded();
    return this.#members;
  }

  /** Where live subscribers stand is known, or they come anew, which costs them no event. */
  #refuseLost() {
    for (const socket of this.all()) {
      const streams = [...this.state(socket).streams.values()];
      if (streams.every(([, place]) => place !== null)) continue;
      this.close(socket, CODES.restart, "The shard has lost its position");
    }
  }

  /** A key may have been taken out while the object slept: where it wakes, its code is new. */
  #refuseUnwelcome() {
    const keys = new Set(Array.from(this.all(), (socket) => this.state(socket).who?.key ?? ""));
    keys.delete("");
    const unwelcome = new Set(JSON.parse(python.unwelcome(JSON.stringify([...keys]))));
    if (unwelcome.size === 0) return;
    for (const socket of this.all()) {
      if (!unwelcome.has(this.state(socket).who?.key)) continue;
      this.close(socket, CODES.forbidden, "The key is not valid any more.");
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {State} state
   */
  #known(socket, state) {
    return { expires: expiryOf(state), backlog: this.backlog(socket) };
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   */
  #leave(socket, id) {
    const feed = this.#members?.remove(socket, id);
    if (feed) this.#storage.forgetFeed(feed);
  }
}

/** @param {State} state */
const expiryOf = ({ who }) => (who?.exp ?? Infinity) * 1000;
