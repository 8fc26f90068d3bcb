// The backlog of a connection: what was sent and has not been read, as far as is known. The runtime
// buffers messages that a client does not read, without a limit. So the server sends a ping from time
// to time: the pong shows that the client has read all that was sent before it.

import { limits } from "./python.mjs";

export class Backlog {
  /** Characters sent, sent before the last ping, and read. */
  #sent = 0;
  #sentBeforePing = 0;
  #read = 0;
  /** @type {number | undefined} time of the unanswered ping, milliseconds since 1970 */
  #pingedAt;
  /** @type {((value: undefined) => void)[]} */
  #waiting = [];
  #running = 0;
  #isClosed = false;
  /** Doubles while texts fit, and begins again with one when they fill the backlog. */
  #allowance = limits.pollReplays;

  /** @param {number} [pingedAt] time of a ping that was unanswered when the object was evicted */
  constructor(pingedAt) {
    if (pingedAt === undefined) return;
    this.#pingedAt = pingedAt;
    this.#sent = this.#sentBeforePing = limits.unreadCharacters;
  }

  get pingedAt() {
    return this.#pingedAt;
  }

  /** True while no results may be sent. */
  get isFull() {
    return this.#sent - this.#read >= limits.unreadCharacters;
  }

  /** True if it is time to find out with a ping how much the client has read. */
  get isPingDue() {
    return this.#pingedAt === undefined && (this.#sent - this.#read) * 2 >= limits.unreadCharacters;
  }

  /** True if not even immediate answers may be sent. */
  get isOverfull() {
    return this.#sent - this.#read >= 2 * limits.unreadCharacters;
  }

  /**
   * The number of subscriptions that a poll may read for while they catch up: what is read and then does
   * not fit was read in vain.
   */
  get allowance() {
    return this.isFull ? 0 : this.#allowance;
  }

  /**
   * Count a text that is sent.
   * @param {number} characters
   */
  add(characters) {
    this.#sent += characters;
    this.#allowance = this.isFull ? 1 : Math.min(limits.pollReplays, 2 * this.#allowance);
  }

  /** Note that a ping is sent. */
  ping() {
    this.#pingedAt = Date.now();
    this.#sentBeforePing = this.#sent;
  }

  /**
   * Note a pong.
   * @returns {boolean} false if it answers no ping: clients also send them as keep-alives
   */
  pong() {
    if (this.#pingedAt === undefined) return false;
    this.#pingedAt = undefined;
    this.#read = this.#sentBeforePing;
    this.#resume();
    return true;
  }

  /**
   * Execute an operation once the backlog has room for its answer and few others are running.
   * @param {() => Promise<void>} operation
   */
  async execute(operation) {
    while (!this.#isClosed && (this.isFull || this.#running >= limits.operations)) {
      await new Promise((resume) => this.#waiting.push(resume));
    }
    this.#running += 1;
    try {
      await operation();
    } finally {
      this.#running -= 1;
      this.#resume();
    }
  }

  /** Let go of waiting operations, as the socket is closed. */
  close() {
    this.#isClosed = true;
    this.#resume();
  }

  #resume() {
    for (const resume of this.#waiting.splice(0)) resume(undefined);
  }
}
