// The dispatcher of a shard: polls the log for all subscribers, one poll after the other, and delivers
// the results.

import { newExecution } from "../resolvers/runtime/commands.mjs";
import { deliver } from "./delivery.mjs";
import { poll } from "./poll.mjs";
import { closes, limits } from "./python.mjs";
import { prefetchReads, repeat } from "./repeated_poll.mjs";

/**
 * @typedef {import("./poll.mjs").Delivery} Delivery
 * @typedef {import("./poll.mjs").PollResult} PollResult
 * @typedef {import("./repeated_poll.mjs").RepeatablePoll} RepeatablePoll
 * @typedef {import("./subscribers.mjs").Group} Group
 * @typedef {import("../resolvers/runtime/commands.mjs").Execution} Execution
 * @typedef {import("../resolvers/runtime/notifications.mjs").Prefetch} Prefetch
 * @typedef {import("../resolvers/runtime/notifications.mjs").Prefetched} Prefetched
 */

export class Dispatcher {
  #name;
  #storage;
  #connections;
  #alarm;
  #window = limits.pollEvents;
  /** @type {Promise<void> | undefined} */
  #running;
  /** The polls that were made, and the deliveries that needed none. */
  counts = { polls: 0, prefetched: 0 };
  #isPollDue = false;
  #hasAdvanced = false;
  /** Not stored, so that an object that wakes registers again if D1 has lost the row. */
  #registered = false;
  /** @type {RepeatablePoll | undefined} the last poll, if the next one needs no Python */
  #repeatable;

  /**
   * @param {string} name of the shard
   * @param {import("./storage.mjs").Storage} storage
   * @param {import("./connections.mjs").Connections} connections
   * @param {import("./alarm.mjs").Alarm} alarm
   */
  constructor(name, storage, connections, alarm) {
    this.#name = name;
    this.#storage = storage;
    this.#connections = connections;
    this.#alarm = alarm;
  }

  /** Poll until there is nothing to read. Calls during a poll lead to one more poll. */
  run() {
    this.#isPollDue = true;
    return this.#running ?? this.#runWhile(this.#poll());
  }

  /** True if events were read since the last call. */
  hasAdvanced() {
    const hasAdvanced = this.#hasAdvanced;
    this.#hasAdvanced = false;
    return hasAdvanced;
  }

  /**
   * The reads that the next write may run; undefined if Python has to plan the next poll.
   * @returns {Prefetch | undefined}
   */
  prefetch() {
    if (!this.#repeatable?.template.isPrefetchable) return undefined;
    return { id: this.#repeatable.version, reads: prefetchReads(this.#repeatable) };
  }

  /**
   * Deliver the texts of a prefetch, if a poll would read the same ones now.
   * @param {Prefetched} prefetched
   * @returns {Promise<void> | undefined} undefined if a poll has to be made
   */
  deliverPrefetched({ id, from, to, texts }) {
    const groups = this.#connections.subscribers.groups();
    const repeatable = this.#repeatableFor(groups);
    const { livePosition } = this.#connections;
    if (this.#running || repeatable?.version !== id || livePosition !== from) return undefined;
    if (to - from > repeatable.template.window) return undefined;
    this.counts.prefetched += 1;
    const found = groups.map(({ plan }) => texts[plan]);
    const delivery = {
      livePosition: to,
      advances: found.map(
        (text, group) =>
          /** @type {import("./poll.mjs").Advance} */ ([group, null, text === null ? null : group]),
      ),
      refused: [],
      keys: repeatable.keys,
    };
    this.#deliver(groups, delivery, found);
    return this.#runWhile(this.#pause());
  }

  /** @param {Promise<void>} work during which no other poll begins */
  #runWhile(work) {
    this.#running = work.finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Let notifications in that came while messages were sent: they lead to one poll together. */
  async #pause() {
    await scheduler.wait(0);
    await this.#poll();
  }

  async #poll() {
    while (this.#isPollDue) {
      this.#isPollDue = false;
      const { subscribers } = this.#connections;
      const groups = subscribers.groups();
      if (groups.length === 0 && !subscribers.isEmpty) return;
      const { hasLeftOut, version } = subscribers;
      this.counts.polls += 1;
      const execution = newExecution();
      const result =
        (await this.#repeat(groups, execution)) ??
        (await this.#pollByPython(groups, version, execution));
      if (result.failed !== undefined) return this.#retryLater(result.failed);
      this.#storage.failures = 0;
      if (!result.unregistered) this.#deliver(groups, result, execution.texts);
      this.#isPollDue ||= result.more || hasLeftOut;
    }
  }

  /**
   * The last poll, if it was made for the same groups.
   * @param {Group[]} groups
   */
  #repeatableFor(groups) {
    const repeatable = this.#repeatable;
    // A group that the last poll left out, as its clients had enough to read, may be among them now.
    const isSame = groups.length === repeatable?.plans.length;
    const { version } = this.#connections.subscribers;
    return isSame && version === repeatable.version ? repeatable : undefined;
  }

  /**
   * Repeat the last poll, if it was made for the same groups and does not fail.
   * @param {Group[]} groups
   * @param {Execution} execution
   * @returns {Promise<PollResult | undefined>}
   */
  async #repeat(groups, execution) {
    const repeatable = this.#repeatableFor(groups);
    if (!repeatable) return undefined;
    try {
      const repeated = await repeat(repeatable, this.#connections.livePosition, execution);
      if (repeated) return repeated;
    } catch {
      // Python polls instead, and finds out whether a statement or the database fails.
    }
    execution.texts = [];
    return undefined;
  }

  /**
   * @param {Group[]} groups
   * @param {string} version of the subscribers, when the groups were made
   * @param {Execution} execution
   * @returns {Promise<PollResult>}
   */
  async #pollByPython(groups, version, execution) {
    /** @type {import("./poll.mjs").PollRequest} */
    const request = {
      shard: this.#name,
      registered: this.#registered,
      livePosition: this.#connections.livePosition,
      window: this.#window,
      groups: groups.map(({ plan, position }) => [plan, position]),
      definitions: {},
    };
    const findDefinitions = (/** @type {string[]} */ plans) => this.#definitions(plans, groups);
    const result = await poll(request, findDefinitions, execution);
    if (result.failed !== undefined) return result;
    this.#registered = !result.unregistered;
    this.#window = result.window ?? this.#window;
    const { template, keys } = result;
    const plans = groups.map(({ plan }) => plan);
    this.#repeatable = template && { template, version, plans, keys };
    return result;
  }

  /**
   * The definitions of plans. If one is lost, which should not happen, the connections of its
   * subscribers are closed, so that the others go on.
   * @param {string[]} plans
   * @param {Group[]} groups
   */
  #definitions(plans, groups) {
    const definitions = this.#storage.definitions(plans);
    const lost = plans.filter((plan) => !(plan in definitions));
    if (lost.length === 0) return definitions;
    for (const { plan, subscribers } of groups) {
      if (!lost.includes(plan)) continue;
      for (const { socket } of subscribers) {
        this.#connections.close(socket, closes.subscriptionLost);
      }
    }
    throw new Error(`definitions were not stored: ${lost.join(", ")}`);
  }

  /** @param {string} message */
  async #retryLater(message) {
    const failures = (this.#storage.failures += 1);
    const delay = Math.min(
      limits.maxRetryMs,
      limits.firstRetryMs * 2 ** Math.min(failures - 1, 20),
    );
    console.error(`Tracker ${this.#name} could not read the log, again in ${delay} ms: ${message}`);
    await this.#alarm.schedule(Date.now() + delay);
  }

  /**
   * @param {Group[]} groups
   * @param {Delivery} delivery
   * @param {(string | null)[]} texts
   */
  #deliver(groups, delivery, texts) {
    this.#hasAdvanced ||= delivery.livePosition !== this.#connections.livePosition;
    this.#hasAdvanced ||= delivery.advances.some(([, , handle]) => handle !== null);
    deliver(this.#connections, groups, delivery, texts);
  }
}
