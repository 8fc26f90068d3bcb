// Who subscribes to what: the subscriptions of a shard's sockets, grouped by feed and place.

/** @typedef {number | string | null} Place where a subscriber stands in the log (see protocol.py) */

/**
 * @typedef {object} Member one subscription
 * @property {WebSocket} socket
 * @property {string} id the client's
 * @property {string} feed
 * @property {Place} place
 * @property {string} prefix of its `next` frames
 * @property {number} expires when its key does, milliseconds since 1970
 * @property {boolean} gone
 * @property {import("./backlog.mjs").Backlog} backlog of its socket
 *
 * @typedef {{ feed: string, place: Place, members: Member[] }} Group
 */

export class Members {
  /** @type {Map<string, Set<Member>>} */
  #groups = new Map();
  /** @type {Map<WebSocket, Map<string, Member>>} */
  #sockets = new Map();
  /** True if the last groups were without some that can be read for already. */
  leftOut = false;
  /** Another one whenever a group comes to be, or ceases to. */
  version = crypto.randomUUID();
  /** @type {Map<string, number>} how many members a feed has */
  #feeds = new Map();

  get isEmpty() {
    return this.#sockets.size === 0;
  }

  /** The feeds that somebody follows. */
  feeds() {
    return this.#feeds.keys();
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   * @param {string} feed
   * @param {Place} place
   * @param {{ expires: number, backlog: import("./backlog.mjs").Backlog }} known of the socket
   */
  add(socket, id, feed, place, { expires, backlog }) {
    const prefix = `{"id":${JSON.stringify(id)},"type":"next","payload":{`;
    /** @type {Member} */
    const member = { socket, id, feed, place, prefix, expires, gone: false, backlog };
    const own = this.#sockets.get(socket);
    if (own) own.set(id, member);
    else this.#sockets.set(socket, new Map([[id, member]]));
    this.#feeds.set(feed, (this.#feeds.get(feed) ?? 0) + 1);
    this.#enter(member);
  }

  /**
   * @param {WebSocket} socket
   * @param {string} id
   * @returns {string | undefined} the feed, if nobody follows it any more
   */
  remove(socket, id) {
    const own = this.#sockets.get(socket);
    const member = own?.get(id);
    if (!own || !member) return undefined;
    own.delete(id);
    if (own.size === 0) this.#sockets.delete(socket);
    member.gone = true;
    this.#exit(member);
    const left = /** @type {number} */ (this.#feeds.get(member.feed)) - 1;
    if (left > 0) this.#feeds.set(member.feed, left);
    else this.#feeds.delete(member.feed);
    return left > 0 ? undefined : member.feed;
  }

  /**
   * @param {Member} member
   * @param {Place} place
   */
  move(member, place) {
    this.#exit(member);
    member.place = place;
    this.#enter(member);
  }

  /**
   * The groups as they are now, without those that catch up and have enough to read; who moved last
   * comes last.
   * @returns {Group[]}
   */
  groups() {
    /** @type {Group[]} */
    const groups = [];
    /** @type {Map<import("./backlog.mjs").Backlog, number>} */
    const taken = new Map();
    this.leftOut = false;
    const hasRoom = (/** @type {Member} */ { backlog }) => {
      const count = taken.get(backlog) ?? 0;
      if (count < backlog.allowance) return taken.set(backlog, count + 1);
      this.leftOut ||= !backlog.isFull;
      return false;
    };
    for (const all of this.#groups.values()) {
      const [{ feed, place }] = all;
      const members = place === null ? [...all] : [...all].filter(hasRoom);
      if (members.length > 0) groups.push({ feed, place, members });
    }
    return groups;
  }

  /** @param {Member} member */
  #enter(member) {
    const key = keyOf(member);
    const group = this.#groups.get(key);
    if (group) group.add(member);
    else {
      this.#groups.set(key, new Set([member]));
      this.version = crypto.randomUUID();
    }
  }

  /** @param {Member} member */
  #exit(member) {
    const key = keyOf(member);
    const group = this.#groups.get(key);
    group?.delete(member);
    if (group?.size === 0) {
      this.#groups.delete(key);
      this.version = crypto.randomUUID();
    }
  }
}

/** @param {Member} member */
const keyOf = ({ feed, place }) => `${feed} ${JSON.stringify(place)}`;
