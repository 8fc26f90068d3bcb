// What was sent to a socket and is not known to be read. The runtime keeps messages that a client does
// not take, without a limit, so the client is asked with a ping how far it has come: its pong says
// that it has read what was sent before.

import { limits } from "./python.mjs";

export class Backlog {
  /** Characters that were sent, that had been when the ping was, and that have been read. */
  #sent = 0;
  #asked = 0;
  #read = 0;
  /** @type {number | undefined} when the ping was sent that is not answered, milliseconds since 1970 */
  #pingedAt;
  /** @type {((value: undefined) => void)[]} */
  #waiting = [];
  #running = 0;
  #isClosed = false;
  /** Grows while texts fit, and begins again with one where they fill the socket. */
  #allowance = limits.pollReplays;

  /** @param {number} [pingedAt] of a ping that was not answered when the object was evicted */
  constructor(pingedAt) {
    if (pingedAt === undefined) return;
    this.#pingedAt = pingedAt;
    this.#sent = this.#asked = limits.unreadCharacters;
  }

  get pingedAt() {
    return this.#pingedAt;
  }

  /** True while nothing more is to be sent. */
  get isFull() {
    return this.#sent - this.#read >= limits.unreadCharacters;
  }

  /** True if it is time to ask how far the client has come. */
  get isPingDue() {
    return this.#pingedAt === undefined && (this.#sent - this.#read) * 2 >= limits.unreadCharacters;
  }

  /** True if so much is unread that what is answered at once must not be sent either. */
  get isOverfull() {
    return this.#sent - this.#read >= 2 * limits.unreadCharacters;
  }

  /** How many subscriptions that catch up are read for in a poll: what is read and not sent is lost. */
  get allowance() {
    return this.isFull ? 0 : this.#allowance;
  }

  /** @param {number} characters that are sent */
  add(characters) {
    this.#sent += characters;
    this.#allowance = this.isFull ? 1 : Math.min(limits.pollReplays, 2 * this.#allowance);
  }

  /** A ping is sent. */
  ping() {
    this.#pingedAt = Date.now();
    this.#asked = this.#sent;
  }

  /**
   * A pong has come.
   * @returns {boolean} false where it answers no ping: clients also send them to show that they live
   */
  pong() {
    if (this.#pingedAt === undefined) return false;
    this.#pingedAt = undefined;
    this.#read = this.#asked;
    this.#resume();
    return true;
  }

  /**
   * Execute an operation once there is room for its answer, with few others at the same time.
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

  /** The socket is closed. */
  close() {
    this.#isClosed = true;
    this.#resume();
  }

  #resume() {
    for (const resume of this.#waiting.splice(0)) resume(undefined);
  }
}
