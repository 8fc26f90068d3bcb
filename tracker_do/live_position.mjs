// The position that the live subscribers of a shard share.

/** The number of sockets that keep the position, since one may disappear without notice. */
const COPIES = 3;

/**
 * The position is kept in the attachments of a few sockets. It survives the object's eviction as these
 * do, and no message has to wait for a disk.
 */
export class LivePosition {
  /** @type {number | undefined} */
  #value;
  /** @type {Set<WebSocket>} those that keep it */
  #sockets = new Set();

  /** The position; undefined if it was in no attachment that has been read. */
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
