// The position that a shard's live subscribers share.

/** How many sockets keep the position: one may be lost without notice. */
const COPIES = 3;

/**
 * The position is in the attachments of some sockets: like these it outlives the object's eviction, is
 * lost with the last socket, and does not keep messages waiting for a disk.
 */
export class LivePosition {
  /** @type {number | undefined} */
  #value;
  /** @type {Set<WebSocket>} those that keep it */
  #sockets = new Set();

  /** The position; undefined if no attachment that was read has it. */
  get value() {
    return this.#value;
  }

  /**
   * Take over a position from a socket's attachment.
   * @param {WebSocket} socket
   * @param {number} position
   */
  restore(socket, position) {
    this.#sockets.add(socket);
    this.#value = Math.max(position, this.#value ?? 0);
  }

  /**
   * The position to store with a socket; undefined if the socket does not keep it.
   * @param {WebSocket} socket
   */
  keptBy(socket) {
    return this.#sockets.has(socket) ? this.#value : undefined;
  }

  /**
   * Set the position, and choose sockets to keep it.
   * @param {number} position
   * @param {Iterable<WebSocket>} open
   * @returns {Iterable<WebSocket>} the sockets to be saved for it
   */
  advance(position, open) {
    if (position === this.#value && this.#sockets.size > 0) return [];
    this.#value = position;
    if (this.#sockets.size < COPIES) {
      for (const socket of open) {
        if (this.#sockets.add(socket).size === COPIES) break;
      }
    }
    return this.#sockets;
  }

  /**
   * Forget a socket.
   * @param {WebSocket} socket
   * @returns {boolean} true if it was the last one that kept the position
   */
  forget(socket) {
    return this.#sockets.delete(socket) && this.#sockets.size === 0;
  }
}
