// The pump of a shard: reads the log for all subscribers, round by round, and sends what is new.

import { runTask, newExecution } from "../resolvers/runtime/commands.mjs";
import { limits, python } from "./python.mjs";
import { fromMark, repeat } from "./repeated_poll.mjs";
import { CODES, EXPIRED } from "./connections.mjs";

/**
 * @typedef {import("./subscribers.mjs").Place} Place
 * @typedef {import("./subscribers.mjs").Group} Group
 *
 * @typedef {object} Look what a round is made for
 * @property {string} name of the shard
 * @property {boolean} registered whether writes notify it
 * @property {number} position where the live groups stand
 * @property {number} window how many events to take at most
 * @property {[feed: string, place: Place][]} groups
 * @property {Record<string, [document: string, rest: string]>} definitions of feeds that were
 *   asked for
 *
 * @typedef {[group: number, place: Place, text: number | null]} Move what a group gets; a text begins
 *   with its cursor (see feeds.py)
 * @typedef {object} Delivery what is to be stored and sent
 * @property {number} position
 * @property {number} window
 * @property {Move[]} moves
 * @property {[group: number, errors: unknown[]][]} refused
 * @property {string[]} keys of the groups' data in their results
 *
 * @typedef {Delivery & Told} Round what a round came to
 *
 * @typedef {object} Told
 * @property {string[]} [unknown] feeds whose definitions are needed first
 * @property {boolean} [left] nobody subscribes: writes do not notify the shard any more
 * @property {string} [failed] what went wrong; nothing was read
 * @property {boolean} more whether there is something to read already
 * @property {import("./repeated_poll.mjs").Again} [again]
 *
 * @typedef {object} Steady a round of live groups only
 * @property {import("./repeated_poll.mjs").Again} again
 * @property {string} version of the members that it was made for
 * @property {string[]} feeds of its groups
 * @property {string[]} keys
 */

const FIRST_RETRY_MS = 1_000;
/** Of the cursor in front of a text. */
const CURSOR_LENGTH = 16;

export class Pump {
  #name;
  #storage;
  #sockets;
  #alarm;
  #window = limits.roundEvents;
  /** @type {Promise<void> | undefined} */
  #running;
  /** How often the log was read, and how often what it says came with a notify. */
  counts = { polls: 0, prefetched: 0 };
  #again = false;
  #moved = false;
  /** Not stored: a row that D1 has lost is there again once the object wakes. */
  #registered = false;
  /** @type {Steady | undefined} the last round, if another one needs no Python */
  #steady;

  /**
   * @param {string} name of the shard
   * @param {import("./storage.mjs").Storage} storage
   * @param {import("./connections.mjs").Sockets} sockets
   * @param {import("./alarm.mjs").Alarm} alarm
   */
  constructor(name, storage, sockets, alarm) {
    this.#name = name;
    this.#storage = storage;
    this.#sockets = sockets;
    this.#alarm = alarm;
  }

  /** Make rounds until there is nothing to read; one after the other, however many ask. */
  run() {
    this.#again = true;
    return this.#running ?? this.#runWhile(this.#rounds());
  }

  /** Whether anything was read since this was last asked. */
  hasMoved() {
    const moved = this.#moved;
    this.#moved = false;
    return moved;
  }

  /**
   * What may be read in the batch of the next write; nothing where that is not for a write to do.
   * @returns {import("../resolvers/runtime/notifications.mjs").Prefetch | undefined}
   */
  offer() {
    if (!this.#steady?.again.light) return undefined;
    const { again, version, feeds } = this.#steady;
    return { id: version, reads: fromMark(again, feeds) };
  }

  /**
   * Deliver what was read with a write, if it is what a round would read now.
   * @param {import("../resolvers/runtime/notifications.mjs").Prefetched} prefetched
   * @returns {Promise<void> | undefined} undefined if it is not
   */
  take({ id, from, to, texts }) {
    const groups = this.#sockets.members().groups();
    const steady = this.#steadyFor(groups);
    if (this.#running || steady?.version !== id || this.#sockets.position !== from)
      return undefined;
    if (to - from > steady.again.window) return undefined;
    this.counts.prefetched += 1;
    const found = groups.map(({ feed }) => texts[feed]);
    /** @type {Move[]} */
    const moves = found.map((text, group) => [group, null, text === null ? null : group]);
    const { keys } = steady;
    this.#deliver(groups, { position: to, window: this.#window, moves, refused: [], keys }, found);
    return this.#runWhile(this.#pause());
  }

  /** @param {Promise<void>} work that keeps others from beginning */
  #runWhile(work) {
    this.#running = work.finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Pokes that have come while a thousand messages were sent are to be one round together. */
  async #pause() {
    await scheduler.wait(0);
    await this.#rounds();
  }

  async #rounds() {
    while (this.#again) {
      this.#again = false;
      const members = this.#sockets.members();
      const groups = members.groups();
      if (groups.length === 0 && !members.isEmpty) return;
      const { leftOut } = members;
      this.counts.polls += 1;
      const execution = newExecution();
      const version = members.version;
      const round =
        (await this.#repeat(groups, execution)) ?? (await this.#look(groups, execution));
      if (round.failed !== undefined) return this.#retryLater(round.failed);
      this.#storage.failures = 0;
      this.#registered = !round.left;
      if (!round.left) this.#deliver(groups, round, execution.texts);
      const { again, keys } = round;
      this.#steady = again && { again, version, feeds: groups.map(({ feed }) => feed), keys };
      this.#again ||= round.more || leftOut;
    }
  }

  /**
   * The last round, if it was made for the same groups.
   * @param {Group[]} groups
   */
  #steadyFor(groups) {
    const steady = this.#steady;
    // Somebody who catches up may have read the pages that were sent, and wait for more.
    const same = groups.length === steady?.feeds.length;
    return same && this.#sockets.members().version === steady.version ? steady : undefined;
  }

  /**
   * The last round once more: Python would say no more. Where it fails, Python is asked.
   * @param {Group[]} groups
   * @param {import("../resolvers/runtime/commands.mjs").Execution} execution
   * @returns {Promise<Round | undefined>}
   */
  async #repeat(groups, execution) {
    const steady = this.#steadyFor(groups);
    if (!steady) return undefined;
    try {
      const round = await repeat(steady, this.#sockets.position, this.#window, execution);
      if (round) return round;
    } catch {
      // As if it had not been tried.
    }
    execution.texts = [];
    return undefined;
  }

  /**
   * @param {Group[]} groups
   * @param {import("../resolvers/runtime/commands.mjs").Execution} execution
   * @returns {Promise<Round>}
   */
  async #look(groups, execution) {
    const { position } = this.#sockets;
    /** @type {Look} */
    const look = {
      name: this.#name,
      registered: this.#registered,
      position,
      window: this.#window,
      groups: groups.map(({ feed, place }) => [feed, place]),
      definitions: {},
    };
    const ask = () =>
      runTask({ begin: () => python.look(JSON.stringify(look)), resume: python.resume }, execution);
    try {
      let round = await ask();
      while (round.unknown) {
        Object.assign(look.definitions, this.#storage.definitions(round.unknown));
        this.#refuseLost(groups, round.unknown, look.definitions);
        round = await ask();
      }
      return round;
    } catch (error) {
      // Nothing is lost: everybody stays where they are.
      return /** @type {any} */ ({ failed: String(error) });
    }
  }

  /**
   * What a feed is made from is always there; were it not, its subscribers must come anew, and not
   * keep the others waiting.
   * @param {Group[]} groups
   * @param {string[]} unknown
   * @param {Look["definitions"]} definitions
   */
  #refuseLost(groups, unknown, definitions) {
    const lost = unknown.filter((feed) => !(feed in definitions));
    if (lost.length === 0) return;
    for (const { feed, members } of groups) {
      if (!lost.includes(feed)) continue;
      for (const { socket } of members) {
        this.#sockets.close(socket, CODES.internal, "The subscription was lost");
      }
    }
    throw new Error(`feeds were not stored: ${lost.join(", ")}`);
  }

  /** @param {string} message */
  async #retryLater(message) {
    const failures = (this.#storage.failures += 1);
    const delay = Math.min(limits.maxRetryMs, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20));
    console.error(`Tracker ${this.#name} could not read the log, again in ${delay} ms: ${message}`);
    await this.#alarm.by(Date.now() + delay);
  }

  /**
   * Store what a round came to, then send it.
   * @param {Group[]} groups
   * @param {Delivery} delivery
   * @param {(string | null)[]} texts
   */
  #deliver(groups, { position, window, moves, refused, keys }, texts) {
    this.#window = window;
    this.#moved ||= position !== this.#sockets.position;
    const receivers = this.#place(groups, moves, texts);
    this.#sockets.advance(position);
    const now = Date.now();
    for (const [index, [number, , handle]] of moves.entries()) {
      if (handle === null) continue;
      this.#moved = true;
      const text = payloadOf(keys[number], /** @type {string} */ (texts[handle]));
      let prefix;
      let frame = "";
      for (const member of receivers[index]) {
        if (member.gone) continue;
        // Many clients count their operations, so that neighbours have the same id.
        if (member.prefix !== prefix) frame = (prefix = member.prefix) + text;
        if (member.expires > now) this.#sockets.put(member.socket, frame);
        else this.#sockets.close(member.socket, CODES.forbidden, EXPIRED);
        if (member.backlog.isPingDue) this.ping(member.socket);
      }
    }
    for (const [number, payload] of refused) {
      for (const { gone, socket, id } of groups[number].members) {
        if (gone) continue;
        const state = this.#sockets.state(socket);
        const streams = new Map(state.streams);
        streams.delete(id);
        this.#sockets.keep(socket, { ...state, streams });
        this.#sockets.send(socket, JSON.stringify({ id, type: "error", payload }));
      }
    }
  }

  /**
   * Ask a socket that has much to read how far it has come, and see later that it has answered.
   * @param {WebSocket} socket
   */
  ping(socket) {
    if (!this.#sockets.ping(socket)) return;
    void this.#alarm.by(Date.now() + limits.pongTimeoutMs);
  }

  /**
   * Where everybody stands now, and who gets the texts: a socket that has enough to read gets none.
   * Its subscriptions stay where they are until it has read, and catch up then.
   * @param {Group[]} groups
   * @param {Move[]} moves
   * @param {(string | null)[]} texts
   * @returns {import("./subscribers.mjs").Member[][]} by move
   */
  #place(groups, moves, texts) {
    const members = this.#sockets.members();
    const { position } = this.#sockets;
    /** @type {Set<WebSocket>} */
    const changed = new Set();
    const receivers = moves.map(([number, place, handle]) => {
      const group = groups[number];
      if (place === group.place && handle === null) return [];
      return group.members.filter((member) => {
        if (member.gone) return false;
        const isHeld = handle !== null && member.backlog.isFull;
        const next = isHeld ? (group.place ?? position) : place;
        if (next !== group.place) {
          members.move(member, next);
          this.#sockets.state(member.socket).streams.set(member.id, [member.feed, next]);
          changed.add(member.socket);
        }
        if (isHeld || handle === null) return false;
        // At once, as the socket may have other subscriptions among these.
        member.backlog.add(/** @type {string} */ (texts[handle]).length);
        return true;
      });
    });
    for (const socket of changed) this.#sockets.save(socket);
    return receivers;
  }
}

/**
 * The rest of a `next` frame, behind its client's id.
 * @param {string} key of the data
 * @param {string} text that was read: its cursor, blank for none, and the value
 */
function payloadOf(key, text) {
  const cursor = text.slice(0, CURSOR_LENGTH);
  const data = `"data":{"${key}":${text.slice(CURSOR_LENGTH)}}`;
  return cursor.trim() ? `${data},"extensions":{"cursor":"${cursor}"}}}` : `${data}}}`;
}
