// The subscribers of a shard: the subscriptions of its connections, grouped by plan and position.

/** @typedef {import("./connection_state.mjs").Position} Position */

/**
 * @typedef {object} Subscriber one subscription of a connection
 * @property {WebSocket} socket
 * @property {string} id the client's
 * @property {string} plan
 * @property {Position} position
 * @property {string} prefix of its `next` frames
 * @property {number} expiresAt time at which its token does, milliseconds since 1970
 * @property {boolean} isRemoved
 * @property {import("./backlog.mjs").Backlog} backlog of its socket
 *
 * @typedef {{ plan: string, position: Position, subscribers: Subscriber[] }} Group
 */

export class Subscribers {
  /** @type {Map<string, Set<Subscriber>>} */
  #groups = new Map();
  /** @type {Map<WebSocket, Map<string, Subscriber>>} by the ids of each socket */
  #sockets = new Map();
  /** True if `groups()` left out subscribers last time that are not full. */
  hasLeftOut = false;
  /** Changes whenever a group is added or removed. */
  version = crypto.randomUUID();
  /** @type {Map<string, number>} how many subscribers each plan has */
  #plans = new Map();

  get isEmpty() {
    return this.#sockets.size === 0;
  }

  /** The plans that have subscribers. */
  plans() {
    return this.#plans.keys();
  }

  /**
   * Add a subscription.
   * @param {WebSocket} socket
   * @param {string} id
   * @param {string} plan
   * @param {Position} position
   * @param {{ expiresAt: number, backlog: import("./backlog.mjs").Backlog }} known of the socket
   */
  add(socket, id, plan, position, { expiresAt, backlog }) {
    const prefix = `{"id":${JSON.stringify(id)},"type":"next","payload":{`;
    /** @type {Subscriber} */
    const subscriber = { socket, id, plan, position, prefix, expiresAt, isRemoved: false, backlog };
    const own = this.#sockets.get(socket);
    if (own) own.set(id, subscriber);
    else this.#sockets.set(socket, new Map([[id, subscriber]]));
    this.#plans.set(plan, (this.#plans.get(plan) ?? 0) + 1);
    this.#enter(subscriber);
  }

  /**
   * Remove a subscription.
   * @param {WebSocket} socket
   * @param {string} id
   * @returns {string | undefined} the plan, if it has no subscribers any more
   */
  remove(socket, id) {
    const own = this.#sockets.get(socket);
    const subscriber = own?.get(id);
    if (!own || !subscriber) return undefined;
    own.delete(id);
    if (own.size === 0) this.#sockets.delete(socket);
    subscriber.isRemoved = true;
    this.#exit(subscriber);
    const left = /** @type {number} */ (this.#plans.get(subscriber.plan)) - 1;
    if (left > 0) this.#plans.set(subscriber.plan, left);
    else this.#plans.delete(subscriber.plan);
    return left > 0 ? undefined : subscriber.plan;
  }

  /**
   * Move a subscriber to the group at a position.
   * @param {Subscriber} subscriber
   * @param {Position} position
   */
  move(subscriber, position) {
    this.#exit(subscriber);
    subscriber.position = position;
    this.#enter(subscriber);
  }

  /**
   * The current groups, without subscribers that catch up and have enough to read. Groups come in the
   * order in which they were made, so subscribers that catch up take turns.
   * @returns {Group[]}
   */
  groups() {
    /** @type {Group[]} */
    const groups = [];
    /** @type {Map<import("./backlog.mjs").Backlog, number>} */
    const taken = new Map();
    this.hasLeftOut = false;
    const hasRoom = (/** @type {Subscriber} */ { backlog }) => {
      const count = taken.get(backlog) ?? 0;
      if (count < backlog.allowance) return taken.set(backlog, count + 1);
      this.hasLeftOut ||= !backlog.isFull;
      return false;
    };
    for (const all of this.#groups.values()) {
      const [{ plan, position }] = all;
      const subscribers = position === null ? [...all] : [...all].filter(hasRoom);
      if (subscribers.length > 0) groups.push({ plan, position, subscribers });
    }
    return groups;
  }

  /** @param {Subscriber} subscriber */
  #enter(subscriber) {
    const key = keyOf(subscriber);
    const group = this.#groups.get(key);
    if (group) group.add(subscriber);
    else {
      this.#groups.set(key, new Set([subscriber]));
      this.version = crypto.randomUUID();
    }
  }

  /** @param {Subscriber} subscriber */
  #exit(subscriber) {
    const key = keyOf(subscriber);
    const group = this.#groups.get(key);
    group?.delete(subscriber);
    if (group?.size === 0) {
      this.#groups.delete(key);
      this.version = crypto.randomUUID();
    }
  }
}

/** @param {Subscriber} subscriber */
const keyOf = ({ plan, position }) => `${plan} ${JSON.stringify(position)}`;
